#include "common/source_hash.h"

#include <bit>
#include <cstring>

#include "common/magic.h"

namespace kiln {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read in host order");

// SipHash-c-d of Aumasson and Bernstein: c rounds a word, d rounds at the end. The second half of the key is
// 0.
class SipHash {
 public:
  SipHash(std::uint64_t key, int rounds, int last_rounds)
      : v0_(key ^ 0x736f6d6570736575),
        v1_(0x646f72616e646f6d),
        v2_(key ^ 0x6c7967656e657261),
        v3_(0x7465646279746573),
        rounds_(rounds),
        last_rounds_(last_rounds) {}

  std::uint64_t operator()(std::string_view bytes) {
    const std::uint64_t size = bytes.size();
    for (; bytes.size() >= 8; bytes.remove_prefix(8)) word(read(bytes.substr(0, 8)));
    word(read(bytes) | size << 56);
    v2_ ^= 0xff;
    mix(last_rounds_);
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  static std::uint64_t read(std::string_view bytes) {
    std::uint64_t value = 0;
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }

  void word(std::uint64_t value) {
    v3_ ^= value;
    mix(rounds_);
    v0_ ^= value;
  }

  void mix(int rounds) {
    for (; rounds > 0; --rounds) {
      v0_ += v1_;
      v2_ += v3_;
      v1_ = std::rotl(v1_, 13) ^ v0_;
      v3_ = std::rotl(v3_, 16) ^ v2_;
      v0_ = std::rotl(v0_, 32);
      v2_ += v1_;
      v0_ += v3_;
      v1_ = std::rotl(v1_, 17) ^ v2_;
      v3_ = std::rotl(v3_, 21) ^ v0_;
      v2_ = std::rotl(v2_, 32);
    }
  }

  std::uint64_t v0_, v1_, v2_, v3_;
  int rounds_;
  int last_rounds_;
};

}  // namespace

std::optional<std::uint64_t> source_hash(std::string_view source, std::uint32_t magic) {
  const auto format = bytecode_format(magic);
  if (!format || format->hashing == SourceHashing::none) return std::nullopt;
  const bool old = format->hashing == SourceHashing::siphash_2_4;
  return SipHash(magic, old ? 2 : 1, old ? 4 : 3)(source);
}

}  // namespace kiln
