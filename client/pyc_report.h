// What one bytecode file holds, and whether Python would use it for its source.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/magic.h"
#include "common/pyc.h"
#include "common/result.h"

namespace kiln {

// Python's own judgement (importlib's SourceLoader.get_code), not Kiln's, which is stricter about sources
// that are written in the same second as their bytecode (daemon/freshness.h).
enum class SourceState : std::uint8_t {
  fresh,
  stale_mtime,
  stale_size,
  stale_hash,
  missing,
  unreadable,
  not_asked,  // unchecked hash: Python takes the bytecode whatever the source is
  unknown,    // the file's name does not tell where its source is
};

// "fresh", or what is the matter, in a word: "mtime". Stable.
std::string_view word(SourceState state);

struct PycReport {
  std::string path;
  std::size_t size = 0;  // of the file
  BytecodeFormat format;
  PycHeader header;
  std::string body;    // what follows the header, less the seal of a file of the overlay; not judged
  std::string source;  // its path, absolute; empty: unknown
  SourceState state{};
};

// Reads the file PATH. Fails, with a message that names PATH, if it cannot be read (Reason::system), or has
// no header that is known (Reason::bad_pyc). PYCACHE_PREFIX is the user's PYTHONPYCACHEPREFIX, or empty, and
// OVERLAY the directory of Kiln's own, or empty: by these the source is found.
Result<PycReport> report_pyc(const std::string& path, const std::string& pycache_prefix,
                             const std::string& overlay = {});

}  // namespace kiln
