#include "daemon/store_object.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace kiln {
namespace {

const Sha256 kKey = sha256("a key");

std::string noise(std::size_t size) {
  std::mt19937 random(7);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::string text(std::size_t size) {
  std::string bytes;
  while (bytes.size() < size) bytes += "line " + std::to_string(bytes.size()) + "\n";
  bytes.resize(size);
  return bytes;
}

// What somebody could write who knows the format: FIELD is a number at OFFSET, and the checksum is right.
std::string forged(std::string object, std::size_t offset, std::uint64_t field) {
  std::memcpy(object.data() + offset, &field, sizeof field);
  object.resize(object.size() - sizeof(Sha256));
  object += bytes_of(sha256(object));
  return object;
}

constexpr std::size_t kCompression = 40;
constexpr std::size_t kCodeSize = 48;
constexpr std::size_t kWarningsSize = 56;

TEST(StoreObject, ComesBackAsItWas) {
  for (const std::size_t size : {0U, 1U, 3999U, 4000U, 4001U, 8192U, 100'000U}) {
    for (const StoredCode& stored : {StoredCode{text(size), ""}, StoredCode{noise(size), "a warning"},
                                     StoredCode{"", text(size)}, StoredCode{text(size), noise(size)}}) {
      EXPECT_EQ(decode_object(encode_object(kKey, stored), kKey), stored) << size;
    }
  }
}

TEST(StoreObject, IsCompressedWhereThatSavesBlocks) {
  EXPECT_EQ(encode_object(kKey, {text(4000), ""}).size(), 4096U);
  EXPECT_LT(encode_object(kKey, {text(4001), ""}).size(), 4096U);
  EXPECT_EQ(encode_object(kKey, {noise(50'000), ""}).size(), 50'000U + kObjectOverhead);
}

TEST(StoreObject, EveryFlippedBitIsNoticed) {
  for (const StoredCode& stored : {StoredCode{text(500), "warning"}, StoredCode{text(8000), "warning"}}) {
    std::string object = encode_object(kKey, stored);
    for (char& byte : object) {
      for (int bit = 0; bit < 8; ++bit) {
        byte = static_cast<char>(byte ^ 1 << bit);
        EXPECT_FALSE(decode_object(object, kKey));
        byte = static_cast<char>(byte ^ 1 << bit);
      }
    }
    EXPECT_TRUE(decode_object(object, kKey));
  }
}

TEST(StoreObject, EveryOtherLengthIsNoticed) {
  const std::string object = encode_object(kKey, {text(8000), "warning"});
  for (std::size_t size = 0; size < object.size(); ++size) {
    EXPECT_FALSE(decode_object(object.substr(0, size), kKey)) << size;
  }
  EXPECT_FALSE(decode_object(object + '\0', kKey));
  EXPECT_FALSE(decode_object(object + object, kKey));
}

TEST(StoreObject, AnothersIsRefused) {
  EXPECT_FALSE(decode_object(encode_object(kKey, {"code", ""}), sha256("another key")));
}

TEST(StoreObject, ForgedNumbersAreRefused) {
  const std::string plain = encode_object(kKey, {"code", "warning"});
  const std::string packed = encode_object(kKey, {text(8000), "warning"});
  ASSERT_TRUE(decode_object(forged(packed, kCompression, 1), kKey));
  for (const std::string& object : {plain, packed}) {
    for (const std::uint64_t number :
         {std::uint64_t{2}, std::uint64_t{7999}, kMaxStoredCode - 1, kMaxStoredCode, kMaxStoredCode + 1,
          ~std::uint64_t{6}, ~std::uint64_t{0}}) {
      EXPECT_FALSE(decode_object(forged(object, kCodeSize, number), kKey)) << number;
      EXPECT_FALSE(decode_object(forged(object, kWarningsSize, number), kKey)) << number;
      EXPECT_FALSE(decode_object(forged(object, kCompression, number), kKey)) << number;
    }
  }
  EXPECT_FALSE(decode_object(forged(plain, kCompression, 1), kKey));
  EXPECT_FALSE(decode_object(forged(packed, kCompression, 0), kKey));
}

TEST(StoreObject, IsDecompressedUpToALimitOnly) {
  const std::string object = encode_object(kKey, {std::string(1'000'000, 'x'), "w"});
  EXPECT_FALSE(decode_object(object, kKey, 1'000'000));
  EXPECT_TRUE(decode_object(object, kKey, 1'000'001));
}

}  // namespace
}  // namespace kiln
