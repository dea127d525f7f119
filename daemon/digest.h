// SHA-256 (FIPS 180-4), by libcrypto: what the store names its objects by, and checks them with.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kiln {

using Sha256 = std::array<std::uint8_t, 32>;

Sha256 sha256(std::string_view bytes);

// The digest's bytes as they lie in memory, for writing them into a file. Valid as long as DIGEST is.
std::string_view bytes_of(const Sha256& digest);

// Names BYTES where an accident, not an attack, is what may make two the same: the digest's first eight
// bytes.
std::uint64_t content_id(const Sha256& digest);

// 64 lower-case digits; and back, from nothing but those.
std::string hex(const Sha256& digest);
std::optional<Sha256> digest_from_hex(std::string_view digits);

}  // namespace kiln
