#include "common/surrogate_escape.h"

#include <gtest/gtest.h>

#include "tests/unit/python_says.h"

namespace kiln {
namespace {

// Every string of two bytes behind a lead of three, and the ends of the ranges of UTF-8.
std::vector<std::string> samples() {
  const std::string interesting(
      "\x00\x41\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xec\xed\xee\xef\xf0\xf3\xf4\xf5\xff", 23);
  std::vector<std::string> all;
  for (const char a : interesting) {
    for (const char b : interesting) {
      for (const char c : interesting) {
        for (const char d : {'\x41', '\x80', '\xbf', '\xf0'}) all.push_back({a, b, c, d});
      }
    }
  }
  return all;
}

constexpr const char* kEscape = R"(
import itertools, sys
interesting = b'\x00\x41\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xec\xed\xee\xef\xf0\xf3\xf4\xf5\xff'
for raw in itertools.product(interesting, interesting, interesting, b'\x41\x80\xbf\xf0'):
    text = bytes(raw).decode('utf-8', 'surrogateescape').encode('utf-8', 'surrogatepass')
    sys.stdout.buffer.write(bytes([len(text)]) + text)
)";

TEST(SurrogateEscape, IsPythons) {
  std::string ours;
  for (const auto& raw : samples()) {
    const auto text = escape_surrogates(raw);
    EXPECT_EQ(unescape_surrogates(text), raw);
    ours += static_cast<char>(text.size()) + text;
  }
  EXPECT_TRUE(ours == python_says(system_python(), kEscape));
}

}  // namespace
}  // namespace kiln
