// Bytecode files of Python: where they lie (PEP 3147, PEP 488) and how they begin (PEP 552).
//
//   0   magic number: u16, then 0d 0a; every field is little-endian
//   4   flags: bit 0 hash-based, bit 1 check the source; all others must be 0
//   8   flags 0: mtime of the source in seconds, u32, then its size, u32, each modulo 2**32
//       else:    hash of the source, u64
//   16  the module's code object, marshalled
//
// Before 3.7 there were no flags: the mtime is at 4, the size, from 3.3 on, at 8. The magic number says which
// (common/magic.h); one that we do not know is taken for a newer version, with the layout above.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/magic.h"
#include "common/result.h"

namespace kiln {

constexpr std::size_t kMaxPycHeaderSize = 16;

// Bytes before the code in a file of this magic number: 8, 12 or 16.
std::size_t pyc_header_size(std::uint32_t magic);

// What Python compares before it uses a bytecode file.
enum class PycKind : std::uint8_t {
  timestamp = 0,       // mtime and size of the source
  unchecked_hash = 1,  // nothing
  checked_hash = 3,    // hash of the source
};

struct PycHeader {
  std::uint32_t magic = 0;  // all four bytes
  PycKind kind{};
  std::uint32_t mtime_s = 0;      // of the source, modulo 2**32; timestamp only
  std::uint32_t source_size = 0;  // bytes, modulo 2**32; timestamp only, 0 up to 3.2
  std::uint64_t source_hash = 0;  // hash-based only

  bool operator==(const PycHeader&) const = default;
};

// A file's mtime as importlib writes it into a header: int(st_mtime), and st_mtime is a float, which at
// today's dates rounds the last 0.1 microseconds of a second up to the next one.
std::int64_t python_mtime_s(std::int64_t modified_ns);

// The header of a timestamp pyc for a source with this mtime and size. Python keeps the low 32 bits of both;
// up to 3.2 it does not keep the size, and neither does this.
PycHeader timestamp_header(std::uint32_t magic, std::int64_t mtime_s, std::uint64_t source_size);

// In the layout of its magic number. One before 3.7 must be of kind timestamp: there was no other.
std::string encode_pyc_header(const PycHeader& header);

// Fails with Reason::bad_pyc where Python would recompile: fewer bytes than a header has, or flags that it
// does not know. BYTES may go on behind the header. The magic is not judged, for that takes an interpreter.
Result<PycHeader> parse_pyc_header(std::string_view bytes);

// Where Python, 3.5 and later, keeps the bytecode of SOURCE, as importlib's cache_from_source. OPTIMIZE is
// the level, 0 for none. With a PYCACHE_PREFIX, which mirrors the whole file system, SOURCE must be absolute.
// TAG must not be empty: an interpreter without a cache tag keeps no bytecode.
//
// In one thing we differ: for a source in the root directory importlib up to 3.13 answers a relative path.
std::string cache_from_source(std::string_view source, std::string_view tag, int optimize,
                              std::string_view pycache_prefix = {});

// Where Python looks for bytecode of SOURCE beside it: up to 3.1 always, later when there is no source, as
// `compileall -b` leaves it. NAME.pyc; with -O, up to 3.4, NAME.pyo.
std::string legacy_cache_path(std::string_view source, PythonVersion version, int optimize);

// The parts of a file name in __pycache__: NAME.TAG.pyc or NAME.TAG.opt-LEVEL.pyc.
struct PycName {
  std::string module;        // the source is MODULE.py
  std::string tag;           // cpython-311
  std::string optimization;  // "1"; empty: none

  bool operator==(const PycName&) const = default;
};

// Nothing if NAME, without a directory, is no such name; legacy names (NAME.pyc beside the source) are none.
std::optional<PycName> parse_pyc_name(std::string_view name);

// The source of the bytecode file PYC, an absolute path: that of cache_from_source, else, where PYC is
// neither in __pycache__ nor below PYCACHE_PREFIX, the file NAME.py beside NAME.pyc or NAME.pyo. Nothing if
// PYC has no such name.
std::optional<std::string> source_from_cache(std::string_view pyc, std::string_view pycache_prefix = {});

// The directory of the sources whose bytecode lies in DIRECTORY: the one above a __pycache__, else itself.
std::string source_directory(std::string_view directory);

}  // namespace kiln
