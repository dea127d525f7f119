// The hash of a source in a hash-based bytecode file (PEP 552; _imp.source_hash, Python/pyhash.c).
//
// It is SipHash with the magic number as its key, whatever the interpreter was built with for its own
// strings. Fit to notice an edit; not fit to stand against anyone who looks for collisions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kiln {

// As an interpreter of this MAGIC, all four bytes, computes it over the raw bytes of a SOURCE: to be written
// as a little-endian u64. Nothing if bytecode of this magic cannot be hash-based, or it is unknown.
std::optional<std::uint64_t> source_hash(std::string_view source, std::uint32_t magic);

}  // namespace kiln
