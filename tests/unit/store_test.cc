#include "daemon/store.h"

#include <gtest/gtest.h>

#include "tests/unit/scratch.h"

namespace kiln {
namespace {

StoreKey key_of(const std::string& source) {
  return {sha256(source), 0x0a0d0da7, "cpython-311", "3.11.2 (main)", 0, ""};
}

TEST(Store, FindsWhatItKept) {
  const Scratch scratch;
  Store store(scratch / "cache/store", 1 << 30);
  const StoredCode small{"code", "warnings"};
  const StoredCode large{std::string(100'000, 'x'), ""};
  EXPECT_FALSE(store.find(key_of("a")));
  ASSERT_TRUE(store.keep(key_of("a"), small));
  ASSERT_TRUE(store.keep(key_of("b"), large));
  EXPECT_EQ(store.find(key_of("a")), small);
  EXPECT_EQ(store.find(key_of("b")), large);
  EXPECT_LT(std::filesystem::file_size(store.path_of(key_of("b"))), 4096U);
}

}  // namespace
}  // namespace kiln
