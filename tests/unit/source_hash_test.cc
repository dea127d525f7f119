#include "common/source_hash.h"

#include <gtest/gtest.h>

#include "tests/unit/python_says.h"

namespace kiln {
namespace {

constexpr int kInputs = 300;

// Prints the hash of each input, in hexadecimal.
constexpr const char* kHashes = R"(
import _imp, sys
from importlib.util import MAGIC_NUMBER
key = int.from_bytes(MAGIC_NUMBER, 'little')
for size in range(int(sys.argv[1])):
    data = bytes((size * 31 + i * 7) % 256 for i in range(size))
    print(int.from_bytes(_imp.source_hash(key, data), 'little'))
)";

std::string input(int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i) bytes += static_cast<char>((size * 31 + i * 7) % 256);
  return bytes;
}

TEST(SourceHash, IsPythons) {
  for (const auto& python : all_pythons()) {
    const auto theirs = lines_of(python_says(python, kHashes, {std::to_string(kInputs)}));
    ASSERT_EQ(theirs.size(), static_cast<std::size_t>(kInputs)) << python.path;
    for (int size = 0; size < kInputs; ++size) {
      const auto ours = source_hash(input(size), python.magic);
      ASSERT_TRUE(ours) << python.path;
      EXPECT_EQ(std::to_string(*ours), theirs[static_cast<std::size_t>(size)]) << python.path << " " << size;
    }
  }
}

TEST(SourceHash, OfAnUnknownOrOldVersionThereIsNone) {
  EXPECT_FALSE(source_hash("x", 0x0a0d0000 | 3379));
  EXPECT_FALSE(source_hash("x", 0x0a0d0000 | 62211));
  EXPECT_FALSE(source_hash("x", 0x0a0d0000 | 65'000));
}

}  // namespace
}  // namespace kiln
