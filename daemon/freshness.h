// Whether a bytecode file may stand for a source: Python's rule (importlib's SourceLoader.get_code, timestamp
// pycs), and two things in which we are stricter, because there Python runs the wrong code or none.
//
// - A body that is not one whole marshalled code object. Python raises from marshal and never heals such a
// file.
// - A source that was written later than its bytecode within one second, with the same size: Python runs old
// code.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/file_stamp.h"

namespace kiln {

enum class Freshness : std::uint8_t {
  fresh,
  missing,      // no such file
  unreadable,   // it is there, but cannot be read
  bad_header,   // too short, or unknown flags
  magic,        // of another interpreter version
  kind,         // hash-based: compileall makes a timestamp pyc of it
  mtime,        // the source's is another
  size,         // the source's is another
  body,         // no whole code object follows the header
  same_second,  // the source was written after the bytecode, within the same second
};

// One word for people: "mtime".
std::string_view word(Freshness freshness);

struct PycCheck {
  Freshness freshness{};
  FileStamp stamp;  // of the bytecode file; zero when missing or unreadable
};

// Judges the file PYC as bytecode, by an interpreter of this MAGIC, of a source with this stamp. Its body is
// read only if all else is well.
PycCheck check_pyc(const std::string& pyc, std::uint32_t magic, const FileStamp& source);

}  // namespace kiln
