// Of the daemons that share a cache one keeps its index.
#include "common/cache_keeper.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/scratch.h"

namespace kiln {
namespace {

TEST(CacheKeeper, OneKeepsItForAsLongAsItLives) {
  const Scratch scratch;
  EXPECT_EQ(keeper_of(scratch.path()), std::nullopt);
  const CacheKeeper first{7, 1, "/run/user/1000/kiln"};
  const CacheKeeper second{8, 2, "/tmp/a directory"};
  UniqueFd lock = keep_cache(scratch.path(), first);
  ASSERT_TRUE(lock);
  EXPECT_EQ(keeper_of(scratch.path()), first);
  EXPECT_FALSE(keep_cache(scratch.path(), second));
  EXPECT_EQ(keeper_of(scratch.path()), first) << "who has asked in vain changes nothing";
  lock.reset();
  EXPECT_EQ(keeper_of(scratch.path()), std::nullopt);
  lock = keep_cache(scratch.path(), second);
  EXPECT_EQ(keeper_of(scratch.path()), second);
}

TEST(CacheKeeper, NobodyKeepsAnIndexThatIsRemoved) {
  const Scratch scratch;
  const UniqueFd lock = keep_cache(scratch.path(), {7, 1, "/a"});
  std::filesystem::remove(scratch / "index.db.lock");
  EXPECT_EQ(keeper_of(scratch.path()), std::nullopt);
  EXPECT_TRUE(keep_cache(scratch.path(), {8, 1, "/b"}));
}

TEST(CacheKeeper, WhatIsNoFileLocksNothing) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "index.db.lock");
  EXPECT_FALSE(keep_cache(scratch.path(), {7, 1, "/a"}));
  EXPECT_EQ(keeper_of(scratch.path()), std::nullopt);
  EXPECT_FALSE(keep_cache(scratch / "nowhere", {7, 1, "/a"}));
}

}  // namespace
}  // namespace kiln
