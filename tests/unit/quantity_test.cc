#include "common/quantity.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(Quantity, ReadsBytes) {
  EXPECT_EQ(parse_bytes("0"), 0U);
  EXPECT_EQ(parse_bytes("4096"), 4096U);
  EXPECT_EQ(parse_bytes("12B"), 12U);
  EXPECT_EQ(parse_bytes("500MB"), 500'000'000U);
  EXPECT_EQ(parse_bytes("2GiB"), 2ULL << 30);
  EXPECT_EQ(parse_bytes("2 gib"), 2ULL << 30);
  EXPECT_EQ(parse_bytes("64k"), 65'536U);
  EXPECT_EQ(parse_bytes("16777215TiB"), 16777215ULL << 40);
  EXPECT_EQ(parse_bytes("18446744073709551615"), ~0ULL);
}

TEST(Quantity, RefusesWhatIsNoAmount) {
  for (const char* text : {"", "GiB", "-1", "1.5GiB", "1  GiB", "1 ", " 1", "1GiBs", "1XB", "16777216TiB",
                           "18446744073709551616"}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
  }
}

TEST(Quantity, WritesForPeople) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(bytes_text(2ULL << 30), "2.0 GiB");
  EXPECT_EQ(bytes_text(5000ULL << 40), "5000.0 TiB");
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1234), "1,234");
  EXPECT_EQ(count_text(1234567), "1,234,567");
}

}  // namespace
}  // namespace kiln
