#include "daemon/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <thread>

#include "tests/unit/full_disk.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLimit = 1 << 24;
constexpr std::uint64_t kBlock = 4096;

StoreKey key_of(const std::string& source) {
  return {sha256(source), 0x0a0d0da7, "cpython-311", "3.11.2 (main)", 0, ""};
}

StoreKey key_of(int number) {
  return key_of(std::to_string(number));
}

void set_age(const std::string& path, std::time_t age_s) {
  const timespec time{std::time(nullptr) - age_s, 0};
  const timespec times[2] = {time, time};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

std::time_t age_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return std::time(nullptr) - status.st_mtim.tv_sec;
}

class StoreTest : public testing::Test {
 protected:
  std::ptrdiff_t count_files() const {
    const fs::recursive_directory_iterator entries(scratch_ / "cache");
    return std::ranges::count_if(begin(entries), end(entries),
                                 [](const auto& entry) { return entry.is_regular_file(); });
  }

  // COUNT objects of one block each, the first of which was used COUNT days ago, the last a day ago.
  void fill(int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(store_.keep(key_of(i), {"code", ""}));
      set_age(store_.path_of(key_of(i)), 86'400L * (count - i));
    }
  }

  bool has(int number) const { return fs::exists(store_.path_of(key_of(number))); }

  Scratch scratch_;
  Store store_{scratch_ / "cache/store", kLimit};
};

TEST_F(StoreTest, FindsWhatItKept) {
  const StoredCode small{"code", "warnings"};
  const StoredCode large{std::string(100'000, 'x'), ""};
  EXPECT_FALSE(store_.find(key_of("a")));
  ASSERT_TRUE(store_.keep(key_of("a"), small));
  ASSERT_TRUE(store_.keep(key_of("b"), large));
  EXPECT_EQ(store_.find(key_of("a")), small);
  EXPECT_EQ(store_.find(key_of("b")), large);
  EXPECT_EQ(count_files(), 2);
  EXPECT_EQ(store_.approximate_bytes(), 2 * kBlock);
}

TEST_F(StoreTest, ReplacesWhatIsThere) {
  ASSERT_TRUE(store_.keep(key_of("a"), {"old", ""}));
  ASSERT_TRUE(store_.keep(key_of("a"), {"new", ""}));
  EXPECT_EQ(store_.find(key_of("a"))->code, "new");
  EXPECT_EQ(count_files(), 1);
}

TEST_F(StoreTest, IsPrivate) {
  ASSERT_TRUE(store_.keep(key_of("a"), {"code", ""}));
  struct stat status {};
  ASSERT_EQ(::stat((scratch_ / "cache/store").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  ASSERT_EQ(::stat(store_.path_of(key_of("a")).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(StoreTest, EveryPartOfTheKeyCounts) {
  const StoreKey key = key_of("a");
  std::vector<StoreKey> others(7, key);
  others[0].source = sha256("b");
  others[1].magic += 1;
  others[2].tag = "cpython-312";
  others[3].build = "3.11.2 (other)";
  others[4].optimize = 1;
  others[5].flags = "no_debug_ranges";
  others[6].tag = key.tag + key.build;  // lengths are part of it
  others[6].build = "";
  ASSERT_TRUE(store_.keep(key, {"code", ""}));
  for (const StoreKey& other : others) EXPECT_FALSE(store_.find(other));
}

// A store may be shared between versions of Kiln and machines: names must never change by accident.
TEST_F(StoreTest, NamesAreForEver) {
  EXPECT_EQ(hex(digest_of(key_of("a"))), "7d88f250d8de2e78cce1d5aa3345b4a1772a0d8f4eea69441b63889fb12ece44");
}

TEST_F(StoreTest, WhatIsDamagedIsNotReturnedAndIsRemoved) {
  const std::string path = store_.path_of(key_of("a"));
  ASSERT_TRUE(store_.keep(key_of("a"), {"code", "warnings"}));
  const std::string whole = read_file(path);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    std::ofstream(path, std::ios::binary) << damaged;
    EXPECT_FALSE(store_.find(key_of("a"))) << i;
    EXPECT_FALSE(fs::exists(path)) << i;
  }
}

TEST_F(StoreTest, ExaminesASampleAndChangesNothing) {
  EXPECT_EQ(store_.examine(10)->objects, 0U) << "there is no directory yet";
  fill(20);
  EXPECT_EQ(store_.examine(5)->examined, 5U);
  std::ofstream(store_.path_of(key_of(7)), std::ios::app) << "more";
  const auto sample = store_.examine(100);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->objects, 20U);
  EXPECT_EQ(sample->examined, 20U);
  EXPECT_EQ(sample->damaged, std::vector<std::string>{store_.path_of(key_of(7))});
  EXPECT_TRUE(has(7));
  EXPECT_GE(age_of(store_.path_of(key_of(0))), 20 * 86'400L) << "that was no use";
}

TEST_F(StoreTest, WhatIsTruncatedIsNotReturnedAndIsRemoved) {
  const std::string path = store_.path_of(key_of("a"));
  ASSERT_TRUE(store_.keep(key_of("a"), {"code", "warnings"}));
  const std::string whole = read_file(path);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::ofstream(path, std::ios::binary) << whole.substr(0, size);
    EXPECT_FALSE(store_.find(key_of("a"))) << size;
    EXPECT_FALSE(fs::exists(path)) << size;
  }
}

TEST_F(StoreTest, AnObjectUnderAnothersNameIsRefused) {
  ASSERT_TRUE(store_.keep(key_of("a"), {"code", ""}));
  ASSERT_TRUE(store_.keep(key_of("b"), {"other", ""}));
  fs::rename(store_.path_of(key_of("a")), store_.path_of(key_of("b")));
  EXPECT_FALSE(store_.find(key_of("b")));
  EXPECT_FALSE(fs::exists(store_.path_of(key_of("b"))));
}

TEST_F(StoreTest, WhatIsNoFileIsNoObject) {
  const std::string path = store_.path_of(key_of("a"));
  ASSERT_TRUE(store_.keep(key_of("a"), {"code", ""}));
  fs::rename(path, scratch_ / "elsewhere");
  fs::create_symlink(scratch_ / "elsewhere", path);
  EXPECT_FALSE(store_.find(key_of("a")));
  fs::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_FALSE(store_.find(key_of("a")));
  fs::remove(path);
  fs::create_directory(path);
  EXPECT_FALSE(store_.find(key_of("a")));
  EXPECT_FALSE(store_.keep(key_of("a"), {"code", ""}));
}

TEST_F(StoreTest, AnObjectOfMonstrousSizeIsNotRead) {
  const std::string path = store_.path_of(key_of("a"));
  ASSERT_TRUE(store_.keep(key_of("a"), {"code", ""}));
  fs::resize_file(path, 1ULL << 40);  // sparse
  EXPECT_FALSE(store_.find(key_of("a")));
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(StoreTest, ADirectoryThatVanishesIsMadeAgain) {
  ASSERT_TRUE(store_.keep(key_of("a"), {"code", ""}));
  fs::remove_all(scratch_ / "cache");
  EXPECT_FALSE(store_.find(key_of("a")));
  EXPECT_TRUE(store_.keep(key_of("a"), {"code", ""}));
  EXPECT_TRUE(store_.find(key_of("a")));
}

TEST_F(StoreTest, AnUnwritablePlaceIsAnError) {
  scratch_.write("file", "");
  Store store(scratch_ / "file", kLimit);
  EXPECT_EQ(store.keep(key_of("a"), {"code", ""}).error().reason, Reason::system);
  EXPECT_FALSE(store.find(key_of("a")));
  EXPECT_FALSE(store.gc());
  EXPECT_FALSE(Store("/proc/nothing", kLimit).keep(key_of("a"), {"code", ""}));
}

TEST_F(StoreTest, AFullDiskIsAnErrorAndLeavesNothing) {
  ASSERT_TRUE(store_.keep(key_of("a"), {"old", ""}));
  {
    const FullDisk full(150);
    EXPECT_FALSE(store_.keep(key_of("a"), {std::string(1000, 'x'), ""}));
    EXPECT_FALSE(store_.keep(key_of("b"), {std::string(1000, 'x'), ""}));
  }
  EXPECT_EQ(store_.find(key_of("a"))->code, "old");
  EXPECT_FALSE(store_.find(key_of("b")));
  EXPECT_EQ(count_files(), 1);
}

TEST_F(StoreTest, ThreadsMayKeepAndFindTheSame) {
  constexpr int kTimes = 200;
  const StoredCode stored{std::string(20'000, 'x') + "end", "warnings"};
  std::atomic<int> damaged = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int time = 0; time < kTimes; ++time) {
        if (!store_.keep(key_of(time % 3), stored)) ++damaged;
        const auto found = store_.find(key_of((time + 1) % 3));
        if (found && *found != stored) ++damaged;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(damaged, 0);
  EXPECT_EQ(store_.find(key_of(0)), stored);
  EXPECT_EQ(count_files(), 3);
}

TEST_F(StoreTest, GcMayRunBesideThem) {
  std::jthread writer([&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) (void)store_.keep(key_of(i % 50), {"code", ""});
  });
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(store_.gc(kBlock * 10));
  writer = {};
  EXPECT_LE(store_.gc(kBlock * 10)->objects, 10U);
}

TEST_F(StoreTest, AKillLeavesNoTornObject) {
  const StoredCode stored{std::string(200'000, 'x') + "end", ""};
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (;;) (void)store_.keep(key_of("a"), stored);
    }
    while (!fs::exists(store_.path_of(key_of("a")))) std::this_thread::yield();
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(store_.find(key_of("a")), stored);
    fs::remove(store_.path_of(key_of("a")));
  }
}

TEST_F(StoreTest, AFindIsAUseOnceAnHour) {
  const std::string path = store_.path_of(key_of("a"));
  ASSERT_TRUE(store_.keep(key_of("a"), {"code", ""}));
  for (const std::time_t age_s : {4000L, -4000L, 100'000'000L}) {
    set_age(path, age_s);
    EXPECT_TRUE(store_.find(key_of("a")));
    EXPECT_LT(std::abs(age_of(path)), 60) << age_s;
  }
  set_age(path, 1800);
  EXPECT_TRUE(store_.find(key_of("a")));
  EXPECT_GE(age_of(path), 1800);
}

TEST_F(StoreTest, GcRemovesTheLongestUnused) {
  fill(20);
  ASSERT_TRUE(store_.find(key_of(0)));
  const auto usage = store_.gc(10 * kBlock);
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->objects, 9U);
  EXPECT_EQ(usage->bytes, 9 * kBlock);
  EXPECT_EQ(usage->removed_objects, 11U);
  EXPECT_EQ(usage->removed_bytes, 11 * kBlock);
  EXPECT_EQ(store_.approximate_bytes(), 9 * kBlock);
  EXPECT_EQ(count_files(), 9);
  EXPECT_TRUE(has(0));
  for (int i = 1; i < 12; ++i) EXPECT_FALSE(has(i)) << i;
  for (int i = 12; i < 20; ++i) EXPECT_TRUE(has(i)) << i;
}

TEST_F(StoreTest, GcLeavesWhatIsWithinTheLimit) {
  fill(10);
  const auto usage = store_.gc(10 * kBlock);
  EXPECT_EQ(usage->objects, 10U);
  EXPECT_EQ(usage->removed_objects, 0U);
  EXPECT_EQ(store_.gc()->objects, 10U);
}

TEST_F(StoreTest, GcToNothingEmptiesTheStore) {
  fill(5);
  EXPECT_EQ(store_.gc(0)->objects, 0U);
  EXPECT_EQ(count_files(), 0);
  EXPECT_EQ(store_.approximate_bytes(), 0U);
}

TEST_F(StoreTest, WhatIsDamagedIsRemovedByWhoVerifies) {
  fill(5);
  for (const int at : {1, 3}) std::ofstream(store_.path_of(key_of(at))) << "damage";
  EXPECT_EQ(store_.gc()->objects, 5U) << "who only makes room reads nothing";
  const auto usage = store_.verify(Store::kNoLimit);
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->objects, 3U);
  EXPECT_EQ(usage->removed_objects, 2U);
  EXPECT_EQ(count_files(), 3);
  EXPECT_TRUE(store_.examine(10)->damaged.empty());
}

TEST_F(StoreTest, NothingWholeMakesRoomForWhatIsDamaged) {
  fill(10);
  for (int at = 5; at < 10; ++at) std::ofstream(store_.path_of(key_of(at))) << "damage";
  EXPECT_EQ(store_.verify(5 * kBlock)->objects, 5U);
  for (int at = 0; at < 5; ++at) EXPECT_TRUE(has(at)) << at;
}

// What is counted too low would never be kept within the limit.
TEST_F(StoreTest, GcWithoutADescriptorLeftSaysSo) {
  fill(5);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const int next = ::dup(0);
    const rlimit limit{static_cast<rlim_t>(next) + 1, static_cast<rlim_t>(next) + 1};
    ::close(next);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const auto usage = store_.verify(Store::kNoLimit);
    ::_exit(!usage && usage.error().hint.starts_with("ulimit -n") ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(count_files(), 5);
}

TEST_F(StoreTest, GcOfAStoreThatIsNotThereFindsNothing) {
  const auto usage = store_.gc();
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->objects, 0U);
  EXPECT_FALSE(fs::exists(scratch_ / "cache"));
}

TEST_F(StoreTest, GcRemovesWhatAKillLeftAndNothingOfOthers) {
  fill(1);
  const std::string shard = fs::path(store_.path_of(key_of(0))).parent_path().string();
  for (const std::string name : {"/.kiln-1-old", "/.kiln-1-new", "/notes"}) {
    std::ofstream(shard + name) << "bytes";
    if (name != "/.kiln-1-new") set_age(shard + name, 4000);
  }
  const auto usage = store_.gc(0);
  EXPECT_EQ(usage->removed_objects, 1U);
  EXPECT_EQ(usage->removed_bytes, 2 * kBlock);
  EXPECT_FALSE(fs::exists(shard + "/.kiln-1-old"));
  EXPECT_TRUE(fs::exists(shard + "/.kiln-1-new"));
  EXPECT_TRUE(fs::exists(shard + "/notes"));
}

TEST_F(StoreTest, AGcCanBeStopped) {
  fill(3);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(store_.gc(0, stop.get_token()));
  EXPECT_EQ(count_files(), 3);
}

TEST_F(StoreTest, GrowthIsReportedForEachSixteenth) {
  int calls = 0;
  Store store(scratch_ / "cache/store", 64 * kBlock);
  store.on_growth = [&] { ++calls; };
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(store.keep(key_of(i), {"code", ""}));
  EXPECT_EQ(calls, 0);
  for (int i = 4; i < 10; ++i) ASSERT_TRUE(store.keep(key_of(i), {"code", ""}));
  EXPECT_EQ(calls, 2);
}

TEST_F(StoreTest, WhatWouldPushOutTheRestIsNotKept) {
  Store store(scratch_ / "cache/store", 4 * kBlock);
  EXPECT_TRUE(store.keep(key_of("small"), {"code", ""}));
  std::string noise;
  for (int i = 0; i < 200; ++i) noise += bytes_of(sha256(std::to_string(i)));
  EXPECT_TRUE(store.keep(key_of("large"), {noise, ""}));
  EXPECT_TRUE(store.find(key_of("small")));
  EXPECT_FALSE(store.find(key_of("large")));
}

TEST_F(StoreTest, WithoutALimitToFillThereIsNoStore) {
  Store none(scratch_ / "cache/store", 0);
  EXPECT_TRUE(none.keep(key_of("a"), {"code", ""}));
  EXPECT_FALSE(none.find(key_of("a")));
  EXPECT_FALSE(fs::exists(scratch_ / "cache"));
}

}  // namespace
}  // namespace kiln
