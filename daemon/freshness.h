// Whether a bytecode file may stand for a source: Python's rule (importlib's SourceLoader.get_code, timestamp
// pycs, PEP 552), and two things in which we are stricter, because there Python runs the wrong code or none.
//
// - A body that is not one whole marshalled code object. Python raises from marshal and never heals such a
// file.
// - A source that has changed since with its size and the second of its mtime as they were: Python runs old
// code. Nothing sets back the ctime of an inode, so a later one is a reason to look at what the source says.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/file_stamp.h"
#include "common/pyc.h"
#include "daemon/made_file.h"

namespace kiln {

enum class Freshness : std::uint8_t {
  fresh,
  missing,     // no such file
  unreadable,  // it is there, but cannot be read
  bad_header,  // too short, or unknown flags
  magic,       // of another interpreter version
  kind,        // of another invalidation mode than is asked for
  mtime,       // the source's is another
  size,        // the source's is another
  hash,        // the source's is another
  body,        // no whole code object follows the header, or a seal is broken
  changed,     // the source says something else, though its mtime and size are as they were
  doubtful,    // its inode may have changed since, its mtime and size have not, or the bytecode was written
               // over in its place: only the code can tell
};

// One word for people: "mtime".
std::string_view word(Freshness freshness);

// What a bytecode file is compared with.
struct PycQuestion {
  std::uint32_t magic = 0;  // of the interpreter
  FileStamp source;
  std::optional<PycKind> kind;  // nothing: whatever kind the file is of
  // Reads the source and computes its hash (common/source_hash.h); asked for hash-based files only. Unlike
  // Python, which believes an unchecked one unread, we bring those up to date, too.
  std::function<std::optional<std::uint64_t>()> source_hash;
  bool sealed = false;  // it is a file of the overlay (common/overlay.h), and must have its seal
  // What is known of the file PYC; null: nothing. With it the source's content_id() (daemon/digest.h), asked
  // for when times do not tell.
  const MadeFile* made = nullptr;
  std::function<std::optional<std::uint64_t>()> source_content;
};

struct PycCheck {
  Freshness freshness{};
  FileStamp stamp;              // of the bytecode file; zero when missing or unreadable
  std::optional<PycKind> kind;  // nothing: there is no header that Python would read
};

// Judges the file PYC as bytecode of a source. Its body is read only if all else is well.
PycCheck check_pyc(const std::string& pyc, const PycQuestion& question);

}  // namespace kiln
