#include "daemon/digest.h"

#include <openssl/evp.h>

#include <cstring>
#include <stdexcept>

namespace kiln {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

// Looked up once: OpenSSL 3 otherwise searches its providers at every digest.
const EVP_MD* algorithm() {
  static EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return fetched;
}

}  // namespace

Sha256 sha256(std::string_view bytes) {
  Sha256 digest{};
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, algorithm(), nullptr) != 1) {
    throw std::runtime_error("libcrypto cannot compute SHA-256");
  }
  return digest;
}

std::string_view bytes_of(const Sha256& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::uint64_t content_id(const Sha256& digest) {
  std::uint64_t id = 0;
  std::memcpy(&id, digest.data(), sizeof id);
  return id;
}

std::string hex(const Sha256& digest) {
  std::string digits;
  digits.reserve(2 * digest.size());
  for (const std::uint8_t byte : digest) {
    digits += kDigits[byte >> 4];
    digits += kDigits[byte & 15];
  }
  return digits;
}

std::optional<Sha256> digest_from_hex(std::string_view digits) {
  Sha256 digest{};
  if (digits.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const auto value = kDigits.find(digits[i]);
    if (value == std::string_view::npos) return std::nullopt;
    digest[i / 2] = static_cast<std::uint8_t>(digest[i / 2] << 4 | value);
  }
  return digest;
}

}  // namespace kiln
