#include "daemon/write_behind_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/full_disk.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kLimit = 8 * kBlock;  // so small that the store reports growth at each object
constexpr std::uint64_t kMaxWaiting = 100;
constexpr std::chrono::hours kNever{1};  // nothing is written but on demand

StoreKey key_of(const std::string& source) {
  return {sha256(source), 0x0a0d0da7, "cpython-311", "3.11.2 (main)", 0, ""};
}

class WriteBehindStoreTest : public testing::Test {
 protected:
  bool is_written(const std::string& source) const { return fs::exists(disk_.path_of(key_of(source))); }

  Scratch scratch_;
  Store disk_{scratch_ / "store", kLimit};
  std::optional<WriteBehindStore> store_{std::in_place, disk_, kMaxWaiting, kNever};
};

TEST_F(WriteBehindStoreTest, WhatWaitsIsFound) {
  const StoredCode stored{"code", "warnings"};
  store_->keep(key_of("a"), stored);
  EXPECT_FALSE(is_written("a"));
  EXPECT_EQ(store_->find(key_of("a")), stored);
  EXPECT_FALSE(store_->find(key_of("b")));
  store_->flush();
  EXPECT_TRUE(is_written("a"));
  EXPECT_EQ(store_->find(key_of("a")), stored);
  EXPECT_EQ(disk_.approximate_bytes(), kBlock);
}

TEST_F(WriteBehindStoreTest, ItIsWrittenUnasked) {
  store_.emplace(disk_, kMaxWaiting, std::chrono::milliseconds(0));
  std::promise<void> written;
  disk_.on_growth = [&] { written.set_value(); };
  store_->keep(key_of("a"), {"code", ""});
  written.get_future().wait();
  EXPECT_TRUE(is_written("a"));
  store_.reset();  // before what its thread has used
}

TEST_F(WriteBehindStoreTest, WhatHasWaitedIsInTheStoreWhenThisEnds) {
  store_->keep(key_of("a"), {"code", ""});
  store_->keep(key_of("b"), {"other", ""});
  store_.reset();
  EXPECT_EQ(disk_.find(key_of("a"))->code, "code");
  EXPECT_EQ(disk_.find(key_of("b"))->code, "other");
}

TEST_F(WriteBehindStoreTest, BeyondTheBoundItIsWrittenAtOnce) {
  const std::string half(kMaxWaiting / 2, 'x');
  store_->keep(key_of("a"), {half, ""});
  store_->keep(key_of("b"), {half, "warnings"});
  EXPECT_FALSE(is_written("a"));
  EXPECT_TRUE(is_written("b"));
  store_->keep(key_of("c"), {std::string(2 * kMaxWaiting, 'x'), ""});
  EXPECT_TRUE(is_written("c"));
  store_->flush();
  EXPECT_TRUE(is_written("a"));
}

TEST_F(WriteBehindStoreTest, WhatWasWrittenMakesRoom) {
  store_->keep(key_of("a"), {std::string(kMaxWaiting, 'x'), ""});
  store_->flush();
  store_->keep(key_of("b"), {std::string(kMaxWaiting / 2, 'x'), ""});
  EXPECT_FALSE(is_written("b"));
}

TEST_F(WriteBehindStoreTest, OneKeyWaitsOnce) {
  const std::string most(kMaxWaiting, 'x');
  for (int i = 0; i < 3; ++i) store_->keep(key_of("a"), {most, ""});
  EXPECT_FALSE(is_written("a"));
  store_->flush();
  EXPECT_TRUE(is_written("a"));
  EXPECT_EQ(disk_.approximate_bytes(), kBlock);
}

TEST_F(WriteBehindStoreTest, AClosedOneWritesAtOnce) {
  store_->close();
  store_->keep(key_of("a"), {"code", ""});
  EXPECT_TRUE(is_written("a"));
  EXPECT_TRUE(store_->find(key_of("a")));
  store_->close();
}

TEST_F(WriteBehindStoreTest, WhatCannotBeWrittenIsGone) {
  {
    const FullDisk full(50);
    store_->keep(key_of("a"), {"code", ""});
    store_->flush();
  }
  EXPECT_FALSE(store_->find(key_of("a")));
  const fs::recursive_directory_iterator entries(scratch_.path());
  for (const auto& entry : entries) EXPECT_FALSE(entry.is_regular_file()) << entry.path();
  store_->keep(key_of("a"), {"code", ""});
  EXPECT_TRUE(store_->find(key_of("a")));
}

TEST_F(WriteBehindStoreTest, WithoutALimitToFillNothingIsFoundOrWritten) {
  store_->keep(key_of("a"), {"code", ""});
  disk_.set_limit(0);
  EXPECT_FALSE(store_->find(key_of("a")));
  store_->keep(key_of("b"), {"code", ""});
  store_->flush();
  EXPECT_FALSE(is_written("a"));
  disk_.set_limit(kLimit);
  EXPECT_FALSE(store_->find(key_of("a")));
  EXPECT_FALSE(store_->find(key_of("b")));
}

TEST_F(WriteBehindStoreTest, ThreadsMayKeepFindAndFlush) {
  store_.emplace(disk_, kMaxWaiting, std::chrono::milliseconds(0));
  constexpr int kTimes = 200;
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int time = 0; time < kTimes; ++time) {
        const std::string name = std::to_string(i) + "/" + std::to_string(time % 7);
        store_->keep(key_of(name), {name, ""});
        if (time % 50 == 0) store_->flush();
        const auto found = store_->find(key_of(name));
        if (!found || found->code != name) ++wrong;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace kiln
