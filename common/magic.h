// What a magic number says: the Python version that wrote a bytecode file, and with it how the file is laid
// out. The numbers are those of the comments in CPython's Lib/importlib/_bootstrap_external.py and, from 3.14
// on, Include/internal/pycore_magic_number.h.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

namespace kiln {

struct PythonVersion {
  int major = 0;
  int minor = 0;

  auto operator<=>(const PythonVersion&) const = default;
};

// What follows the magic number, before the code (common/pyc.h).
enum class HeaderLayout : std::uint8_t {
  mtime,           // up to 3.2
  mtime_and_size,  // 3.3 to 3.6
  flags,           // PEP 552, 3.7 and later
};

// How the hash in a hash-based bytecode file is computed (common/source_hash.h).
enum class SourceHashing : std::uint8_t {
  none,         // up to 3.6
  siphash_2_4,  // 3.7 to 3.10
  siphash_1_3,  // 3.11 and later
};

// How marshal writes an object that it has written before (Python/marshal.c).
enum class MarshalDialect : std::uint8_t {
  string_references,  // 2.7: interned strings only, 't' and 'R'
  plain,              // 3.0 to 3.3: again
  references,         // 3.4 and later: FLAG_REF and 'r'
};

struct BytecodeFormat {
  PythonVersion version;
  HeaderLayout header{};
  SourceHashing hashing{};
  MarshalDialect dialect{};

  bool operator==(const BytecodeFormat&) const = default;
};

// The format of files that begin with this MAGIC: all four bytes, little-endian. CPython's releases 2.7
// and 3.0 to 3.14 are known. Nothing for any other: prereleases, whose layouts changed from one to the next,
// newer versions, and other implementations.
std::optional<BytecodeFormat> bytecode_format(std::uint32_t magic);

// True for the magic numbers that PyPy3 takes: multiples of 16 below 3000, where CPython's begin
// (pypy/interpreter/pycode.py). They do not tell which Python it is of.
bool is_pypy_magic(std::uint32_t magic);

}  // namespace kiln
