#include "daemon/write_behind_store.h"

#include <gtest/gtest.h>

#include <atomic>
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

StoreKey key_of(const std::string& source) {
  return {sha256(source), 0x0a0d0da7, "cpython-311", "3.11.2 (main)", 0, ""};
}

class WriteBehindStoreTest : public testing::Test {
 protected:
  ~WriteBehindStoreTest() override { release(); }

  // From now on the background thread stands still, having written an object of its own.
  void hold() {
    disk_.on_growth = [this, own = std::this_thread::get_id()] {
      if (std::this_thread::get_id() == own || was_held_.exchange(true)) return;
      held_.set_value();
      gate_.get_future().wait();
    };
    store_->keep(key_of("first"), {"code", ""});
    held_.get_future().wait();
    is_held_ = true;
  }

  void release() {
    if (is_held_) gate_.set_value();
    is_held_ = false;
  }

  bool is_written(const std::string& source) const { return fs::exists(disk_.path_of(key_of(source))); }

  Scratch scratch_;
  std::promise<void> held_;
  std::promise<void> gate_;
  std::atomic<bool> was_held_ = false;
  bool is_held_ = false;
  Store disk_{scratch_ / "store", kLimit};
  std::optional<WriteBehindStore> store_{std::in_place, disk_, kMaxWaiting};
};

TEST_F(WriteBehindStoreTest, WhatWaitsIsFound) {
  const StoredCode stored{"code", "warnings"};
  hold();
  store_->keep(key_of("a"), stored);
  EXPECT_FALSE(is_written("a"));
  EXPECT_EQ(store_->find(key_of("a")), stored);
  EXPECT_FALSE(store_->find(key_of("b")));
  release();
  store_->flush();
  EXPECT_TRUE(is_written("a"));
  EXPECT_EQ(store_->find(key_of("a")), stored);
  EXPECT_EQ(disk_.approximate_bytes(), 2 * kBlock);
}

TEST_F(WriteBehindStoreTest, ItIsWrittenUnasked) {
  std::promise<void> written;
  disk_.on_growth = [&] { written.set_value(); };
  store_->keep(key_of("a"), {"code", ""});
  written.get_future().wait();
  EXPECT_TRUE(is_written("a"));
}

TEST_F(WriteBehindStoreTest, WhatHasWaitedIsInTheStoreWhenThisEnds) {
  hold();
  store_->keep(key_of("a"), {"code", ""});
  store_->keep(key_of("b"), {"other", ""});
  release();
  store_.reset();
  EXPECT_EQ(disk_.find(key_of("a"))->code, "code");
  EXPECT_EQ(disk_.find(key_of("b"))->code, "other");
}

TEST_F(WriteBehindStoreTest, BeyondTheBoundItIsWrittenAtOnce) {
  hold();
  const std::string half(kMaxWaiting / 2, 'x');
  store_->keep(key_of("a"), {half, ""});
  store_->keep(key_of("b"), {half, "warnings"});
  EXPECT_FALSE(is_written("a"));
  EXPECT_TRUE(is_written("b"));
  store_->keep(key_of("c"), {std::string(2 * kMaxWaiting, 'x'), ""});
  EXPECT_TRUE(is_written("c"));
  release();
  store_->flush();
  EXPECT_TRUE(is_written("a"));
}

TEST_F(WriteBehindStoreTest, WhatWasWrittenMakesRoom) {
  store_->keep(key_of("a"), {std::string(kMaxWaiting, 'x'), ""});
  store_->flush();
  hold();
  store_->keep(key_of("b"), {std::string(kMaxWaiting / 2, 'x'), ""});
  EXPECT_FALSE(is_written("b"));
}

TEST_F(WriteBehindStoreTest, OneKeyWaitsOnce) {
  hold();
  const std::string most(kMaxWaiting - 4, 'x');
  for (int i = 0; i < 3; ++i) store_->keep(key_of("a"), {most, ""});
  EXPECT_FALSE(is_written("a"));
  release();
  store_->flush();
  EXPECT_TRUE(is_written("a"));
  EXPECT_EQ(disk_.approximate_bytes(), 2 * kBlock);
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
  hold();
  store_->keep(key_of("a"), {"code", ""});
  disk_.set_limit(0);
  EXPECT_FALSE(store_->find(key_of("a")));
  store_->keep(key_of("b"), {"code", ""});
  release();
  store_->flush();
  EXPECT_FALSE(is_written("a"));
  disk_.set_limit(kLimit);
  EXPECT_FALSE(store_->find(key_of("a")));
  EXPECT_FALSE(store_->find(key_of("b")));
}

TEST_F(WriteBehindStoreTest, ThreadsMayKeepFindAndFlush) {
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
