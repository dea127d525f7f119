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

TEST(Quantity, WritesBytesAsItReadsThem) {
  EXPECT_EQ(exact_bytes_text(0), "0");
  EXPECT_EQ(exact_bytes_text(1023), "1023");
  EXPECT_EQ(exact_bytes_text(1024), "1KiB");
  EXPECT_EQ(exact_bytes_text(500'000'000), "500MB");
  EXPECT_EQ(exact_bytes_text(2ULL << 30), "2GiB");
  for (std::uint64_t bytes : {1ULL, 1000ULL, 1500ULL, 1536ULL, 1ULL << 40, ~0ULL}) {
    EXPECT_EQ(parse_bytes(exact_bytes_text(bytes)), bytes);
  }
}

TEST(Quantity, ReadsDurations) {
  using namespace std::chrono_literals;
  EXPECT_EQ(parse_duration("0s"), 0s);
  EXPECT_EQ(parse_duration("90 S"), 90s);
  EXPECT_EQ(parse_duration("30min"), 30min);
  EXPECT_EQ(parse_duration("2h"), 2h);
  EXPECT_EQ(parse_duration("7d"), 168h);
  EXPECT_EQ(parse_duration("36525d"), 36525 * 24h);
  for (const char* text : {"", "30", "min", "-1s", "1.5h", "1  s", "1m", "1 h ", "36526d",
                           "18446744073709551615d", "18446744073709551616s", "never"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Quantity, WritesDurationsAsItReadsThem) {
  using namespace std::chrono_literals;
  EXPECT_EQ(exact_duration_text(0s), "0s");
  EXPECT_EQ(exact_duration_text(90s), "90s");
  EXPECT_EQ(exact_duration_text(30min), "30min");
  EXPECT_EQ(exact_duration_text(26h), "26h");
  EXPECT_EQ(exact_duration_text(48h), "2d");
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
