// Of the daemons that share a cache one keeps its index.
#include "common/cache_keeper.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

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

TEST(CacheKeeper, APipeLocksNothing) {
  const Scratch scratch;
  ASSERT_EQ(::mkfifo(keeper_lock_path(scratch.path()).c_str(), 0600), 0);
  EXPECT_FALSE(keep_cache(scratch.path(), {7, 1, "/a"}));
  EXPECT_EQ(keeper_of(scratch.path()), std::nullopt);
}

TEST(CacheKeeper, WhatIsNoFileLocksNothing) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "index.db.lock");
  EXPECT_FALSE(keep_cache(scratch.path(), {7, 1, "/a"}));
  EXPECT_EQ(keeper_of(scratch.path()), std::nullopt);
  EXPECT_FALSE(keep_cache(scratch / "nowhere", {7, 1, "/a"}));
}

TEST(CacheKeeper, WhatDoesNotSayWhereItLivesLeadsNowhere) {
  const Scratch scratch;
  for (const std::string& dir :
       {std::string("run"), std::string(), std::string("../run"), std::string("\0/a", 3)}) {
    const UniqueFd lock = keep_cache(scratch.path(), {7, 1, dir});
    ASSERT_TRUE(lock);
    EXPECT_EQ(keeper_of(scratch.path()), CacheKeeper{}) << dir;
  }
  const UniqueFd lock = keep_cache(scratch.path(), {7, 1, "/a\nb"});
  EXPECT_EQ(keeper_of(scratch.path()), (CacheKeeper{7, 1, "/a\nb"}));
  const std::string path = scratch / "index.db.lock";
  for (const std::string& text : {std::string(100'000, '1'), std::string(100'000, '\0'), std::string("7 1"),
                                  std::string("-\n/x"), std::string("99999999999999 1\n/x\n")}) {
    std::ofstream(path, std::ios::binary) << text;
    EXPECT_EQ(keeper_of(scratch.path()), CacheKeeper{});
  }
}

TEST(CacheKeeper, AnotherUsersIsNone) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  const Scratch scratch;
  const UniqueFd lock = keep_cache(scratch.path(), {7, 1, "/a"});
  ASSERT_EQ(::chown(keeper_lock_path(scratch.path()).c_str(), 65534, 65534), 0);
  EXPECT_EQ(keeper_of(scratch.path()), std::nullopt);
  EXPECT_FALSE(keep_cache(scratch.path(), {8, 1, "/b"}));
}

}  // namespace
}  // namespace kiln
