#include "daemon/digest.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

// FIPS 180-4's own examples.
constexpr const char* kOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Digest, IsSha256) {
  EXPECT_EQ(hex(sha256("")), kOfNothing);
  EXPECT_EQ(hex(sha256("abc")), kOfAbc);
}

TEST(Digest, ComesBackFromItsDigits) {
  EXPECT_EQ(digest_from_hex(kOfAbc), sha256("abc"));
  std::string digits = kOfAbc;
  EXPECT_FALSE(digest_from_hex(digits.substr(1)));
  EXPECT_FALSE(digest_from_hex(digits + "0"));
  EXPECT_FALSE(digest_from_hex(""));
  digits[5] = 'A';
  EXPECT_FALSE(digest_from_hex(digits));
}

}  // namespace
}  // namespace kiln
