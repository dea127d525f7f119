#include "common/pyc.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(PycHeader, TimestampIsWrittenAsPythonWritesIt) {
  const auto bytes = encode_pyc_header(timestamp_header(0x0a0d0da7, 0x01020304, 0x05));
  EXPECT_EQ(bytes, std::string("\xa7\x0d\x0d\x0a\0\0\0\0\x04\x03\x02\x01\x05\0\0\0", 16));
}

TEST(PycHeader, SurvivesTheRoundTrip) {
  const PycHeader headers[] = {
      {0x0a0d0da7, PycKind::timestamp, 0xffffffff, 17, 0},
      {0x0a0d0da7, PycKind::checked_hash, 0, 0, 0x0123456789abcdef},
      {0x0a0d0da7, PycKind::unchecked_hash, 0, 0, 1},
  };
  for (const auto& header : headers) {
    const auto parsed = parse_pyc_header(encode_pyc_header(header));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed, header);
  }
}

TEST(PycHeader, KeepsTheLow32BitsOfMtimeAndSize) {
  const auto header = timestamp_header(1, (std::int64_t{1} << 32) + 5, (std::uint64_t{1} << 32) + 7);
  EXPECT_EQ(header.mtime_s, 5U);
  EXPECT_EQ(header.source_size, 7U);
  EXPECT_EQ(timestamp_header(1, -1, 0).mtime_s, 0xffffffffU);
}

TEST(PycHeader, RefusesWhatPythonRecompiles) {
  EXPECT_FALSE(parse_pyc_header(""));
  EXPECT_FALSE(parse_pyc_header(std::string(15, '\0')));
  EXPECT_FALSE(parse_pyc_header(std::string("\xa7\x0d\x0d\x0a\x04\0\0\0", 8) + std::string(8, '\0')));
  // "Check", but not hash-based: importlib takes it for a timestamp.
  const auto odd = parse_pyc_header(std::string("\xa7\x0d\x0d\x0a\x02\0\0\0", 8) + std::string(8, '\0'));
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->kind, PycKind::timestamp);
}

// Every expectation is what importlib.util.cache_from_source of 3.11 says.
TEST(CacheFromSource, AnswersAsImportlib) {
  const auto cache = [](std::string_view source, int optimize = 0, std::string_view prefix = {}) {
    return cache_from_source(source, "cpython-311", optimize, prefix);
  };
  EXPECT_EQ(cache("/x/a.py"), "/x/__pycache__/a.cpython-311.pyc");
  EXPECT_EQ(cache("/x/a.py", 1), "/x/__pycache__/a.cpython-311.opt-1.pyc");
  EXPECT_EQ(cache("/x/a.py", 2), "/x/__pycache__/a.cpython-311.opt-2.pyc");
  EXPECT_EQ(cache("a.py"), "__pycache__/a.cpython-311.pyc");
  EXPECT_EQ(cache("/x//a.b.py"), "/x/__pycache__/a.b.cpython-311.pyc");
  EXPECT_EQ(cache("/x/tool"), "/x/__pycache__/toolcpython-311.pyc");
  EXPECT_EQ(cache("/x/.py"), "/x/__pycache__/py.cpython-311.pyc");
  EXPECT_EQ(cache("/x/y/a.py", 0, "/p"), "/p/x/y/a.cpython-311.pyc");
  EXPECT_EQ(cache("/x/y/a.py", 1, "/p/"), "/p/x/y/a.cpython-311.opt-1.pyc");
  EXPECT_EQ(cache("/a.py", 0, "/p"), "/p/a.cpython-311.pyc");
}

TEST(CacheFromSource, StaysInTheRootDirectory) {
  EXPECT_EQ(cache_from_source("/a.py", "t", 0), "/__pycache__/a.t.pyc");
}

TEST(PycName, IsTakenApart) {
  EXPECT_EQ(parse_pyc_name("a.cpython-311.pyc"), (PycName{"a", "cpython-311", ""}));
  EXPECT_EQ(parse_pyc_name("a.b.cpython-311.opt-2.pyc"), (PycName{"a.b", "cpython-311", "2"}));
  EXPECT_FALSE(parse_pyc_name("a.pyc"));
  EXPECT_FALSE(parse_pyc_name("a.cpython-311.py"));
  EXPECT_FALSE(parse_pyc_name(".cpython-311.pyc"));
  EXPECT_FALSE(parse_pyc_name("a..pyc"));
  EXPECT_FALSE(parse_pyc_name("a.tag.opt-.pyc"));
  EXPECT_FALSE(parse_pyc_name(""));
}

}  // namespace
}  // namespace kiln
