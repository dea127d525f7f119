// The bytes of one object of the store: compiled code, with all that is needed to tell whether they are whole
// and in their place.
//
//   offset  size
//        0     8  "kilnobj" and the format's version, '1'
//        8    32  digest of the key: an object under another's name is refused
//       40     8  compression: 0 none, 1 zstd (RFC 8878)
//       48     8  length of the code
//       56     8  length of the warnings
//       64        code and warnings, one after the other, perhaps compressed
//      -32    32  SHA-256 over everything before it
//
// Numbers are little-endian. The checksum is over the bytes as stored, so that damage is found before
// anything is decompressed.
//
// Rejected: XXH3 or CRC as the checksum. They would save 4 us of the 20 that finding an object of 10 KB takes
// (13 us on a CPU without SHA instructions), for one more library. Rejected: a compression level above 1.
// Over the bytecode of a whole installation, 3 takes a quarter more time to save a twentieth more.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/digest.h"

namespace kiln {

struct StoredCode {
  std::string code;      // a marshalled code object; its file name is the caller's canonical one
  std::string warnings;  // what compiling it said; opaque to the store

  bool operator==(const StoredCode&) const = default;
};

// Code and warnings together are at most this long, in bytes.
constexpr std::uint64_t kMaxStoredCode = 1ULL << 30;
// An object is at most this long: what does not shrink is not compressed.
constexpr std::uint64_t kObjectOverhead = 96;
constexpr std::uint64_t kMaxObject = kMaxStoredCode + kObjectOverhead;

// What a file of SIZE bytes takes on a disk, in whole blocks of 4 KiB, as most file systems have them. Both
// what is worth compressing and what counts against the limit is measured by it.
std::uint64_t disk_bytes(std::uint64_t size);

// Where the object of this KEY lies in the store at DIRECTORY.
std::string object_path(const std::string& directory, const Sha256& key);

// Compressed if that saves a quarter of the disk's blocks. STORED is at most kMaxStoredCode long.
std::string encode_object(const Sha256& key, const StoredCode& stored);

// Nothing if OBJECT is damaged, of another version, another key's, or longer than MAX_LENGTH once
// decompressed. Never allocates more than that, whatever OBJECT says.
std::optional<StoredCode> decode_object(std::string_view object, const Sha256& key,
                                        std::uint64_t max_length = kMaxStoredCode);

}  // namespace kiln
