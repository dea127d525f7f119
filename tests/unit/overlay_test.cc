#include "daemon/overlay.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <memory>

#include "common/overlay.h"
#include "common/pyc.h"
#include "daemon/index.h"
#include "tests/unit/pythons.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

class OverlayTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kLimit = 1ULL << 30;
  static constexpr std::uint64_t kBlock = 4096;  // which each file here takes

  // Fills with SOURCES and waits for the end of it.
  void fill(std::vector<std::string> sources, int optimize = 0, mode_t umask = 022,
            std::uint64_t limit = kLimit) {
    IndexThread index(index_path_);
    {
      Overlay overlay(dir_, limit, index);
      overlay.fill({system_python(), {std::move(sources), umask, static_cast<std::uint64_t>(optimize)}});
      overlay.join();
    }
    index.close();
  }

  std::string kept(const std::string& source, int optimize = 0) const {
    return overlay_path(dir_, cache_from_source(source, system_python().cache_tag, optimize));
  }

  std::vector<IndexEntry> entries() const {
    auto index = Index::open(index_path_).value();
    std::vector<IndexEntry> found;
    EXPECT_TRUE(index.list({}, [&](const IndexEntry& entry) { found.push_back(entry); }));
    return found;
  }

  const Scratch scratch_;
  const std::string dir_ = scratch_ / "cache/overlay";
  const std::string index_path_ = scratch_ / "index.db";
};

TEST_F(OverlayTest, KeepsBytecodeOfTheSourcesBytes) {
  const std::string source = scratch_.write("a/mod.py", "x = 1\n");
  fill({source});
  const std::string bytes = read_file(kept(source));
  EXPECT_EQ(bytes.substr(0, 16), overlay_header("x = 1\n", system_python().magic));
  EXPECT_GT(bytes.size(), 16U);
  ASSERT_EQ(entries().size(), 1U);
  EXPECT_EQ(entries()[0].pyc, kept(source));
  EXPECT_EQ(entries()[0].state, EntryState::fresh);
}

TEST_F(OverlayTest, OfEachLevel) {
  const std::string source = scratch_.write("mod.py", "assert False\n");
  fill({source}, 2);
  EXPECT_NE(read_file(kept(source, 2)), "");
  EXPECT_EQ(read_file(kept(source)), "");
  fill({source}, 3);
  EXPECT_EQ(entries().size(), 1U);
}

TEST_F(OverlayTest, IsTheUsersAlone) {
  const std::string source = scratch_.write("mod.py", "x = 1\n");
  fill({source}, 0, 0027);
  struct stat status {};
  ASSERT_EQ(::stat(dir_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  ASSERT_EQ(::stat(kept(source).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640U);
}

TEST_F(OverlayTest, IsMadeAnewWhenTheSourceChangesOrItIsDamaged) {
  const std::string source = scratch_.write("mod.py", "x = 1\n");
  fill({source});
  const std::string first = read_file(kept(source));
  scratch_.write("mod.py", "x = 2\n");
  fill({source});
  const std::string second = read_file(kept(source));
  EXPECT_NE(second, first);
  ASSERT_EQ(::truncate(kept(source).c_str(), 20), 0);
  fill({source});
  EXPECT_EQ(read_file(kept(source)), second);
}

TEST_F(OverlayTest, IsMadeAnewWhereALengthIsRightButAByteIsWrong) {
  const std::string source = scratch_.write("mod.py", "x = 'a text'\n");
  fill({source});
  const std::string whole = read_file(kept(source));
  for (const std::size_t at : {std::size_t{20}, whole.find("a text"), whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    std::ofstream(kept(source)) << damaged;
    fill({source});
    EXPECT_EQ(read_file(kept(source)), whole) << at;
  }
  std::ofstream(kept(source)) << whole.substr(0, whole.size() - 8);  // without a seal
  fill({source});
  EXPECT_EQ(read_file(kept(source)), whole);
}

TEST_F(OverlayTest, TheIndexSeesDamage) {
  const std::string source = scratch_.write("mod.py", "x = 'a text'\n");
  fill({source});
  auto index = Index::open(index_path_, dir_).value();
  // A program: a module's would be of no use in this tree, which can be written.
  ASSERT_TRUE(index.record_run(system_python(), 0, {}, {source, 1, 10}, std::vector<std::string>{}));
  const auto rewrite = [&](const std::string& bytes, std::time_t mtime_s) {
    std::ofstream(kept(source)) << bytes;
    const timespec times[] = {{mtime_s, 0}, {mtime_s, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, kept(source).c_str(), times, 0), 0);
    ASSERT_TRUE(index.refresh());
  };
  const std::string whole = read_file(kept(source));
  rewrite(whole, 1'700'000'000);
  EXPECT_EQ(*index.counts(), (IndexCounts{.fresh = 1}));
  std::string damaged = whole;
  damaged[whole.find("a text")] = 'A';
  rewrite(damaged, 1'700'000'001);
  EXPECT_EQ(*index.counts(), (IndexCounts{.stale = 1}));
  rewrite(whole, 1'700'000'002);
  EXPECT_EQ(*index.counts(), (IndexCounts{.fresh = 1}));
}

TEST_F(OverlayTest, LeavesOutWhatPythonHasSomethingToSayAbout) {
  const std::string warns = scratch_.write("warns.py", "x = '\\d'\n");
  const std::string bad = scratch_.write("bad.py", "x = (\n");
  const std::string good = scratch_.write("good.py", "x = 1\n");
  fill({warns, bad, good, scratch_ / "missing.py"});
  EXPECT_EQ(read_file(kept(warns)), "");
  EXPECT_EQ(read_file(kept(bad)), "");
  EXPECT_NE(read_file(kept(good)), "");
  ASSERT_EQ(entries().size(), 2U);
  EXPECT_EQ(entries()[0].state, EntryState::error);
  EXPECT_EQ(entries()[0].error->type, "SyntaxError");
}

TEST_F(OverlayTest, DoesNotLeaveItsDirectory) {
  scratch_.write("a/mod.py", "x = 1\n");
  fill({scratch_ / "a/../a/mod.py", "relative.py", ""});
  EXPECT_TRUE(entries().empty());
}

TEST_F(OverlayTest, ADirectoryOfOthersIsNotUsed) {
  const std::string source = scratch_.write("mod.py", "x = 1\n");
  std::filesystem::create_directories(dir_);
  ::chmod(dir_.c_str(), 0777);
  fill({source});
  EXPECT_EQ(read_file(kept(source)), "");
}

TEST_F(OverlayTest, WhatIsNotStartedWhenItIsStoppedIsForgotten) {
  const std::string source = scratch_.write("mod.py", "x = 1\n");
  IndexThread index(index_path_);
  Overlay overlay(dir_, kLimit, index);
  overlay.stop();
  overlay.fill({system_python(), {{source}, 022, 0}});
  overlay.join();
  EXPECT_EQ(read_file(kept(source)), "");
}

TEST_F(OverlayTest, IsKeptWithinItsLimitAsItGrows) {
  std::vector<std::string> sources;
  for (int i = 0; i < 20; ++i) sources.push_back(scratch_.write("m" + std::to_string(i) + ".py", "x = 1\n"));
  fill(sources, 0, 022, 10 * kBlock);
  std::size_t kept_files = 0;
  for (const auto& source : sources) kept_files += std::filesystem::exists(kept(source)) ? 1 : 0;
  EXPECT_GE(kept_files, 9U);
  EXPECT_LE(kept_files, 10U);
  EXPECT_EQ(entries().size(), kept_files);  // what was removed is not called stale
}

TEST_F(OverlayTest, WithALimitOfNothingThereIsNone) {
  const std::string source = scratch_.write("mod.py", "x = 1\n");
  fill({source}, 0, 022, 0);
  EXPECT_FALSE(std::filesystem::exists(dir_));
}

class OverlaySweepTest : public OverlayTest {
 protected:
  OverlaySweep scanned() const {
    OverlaySweep sweep(dir_);
    EXPECT_TRUE(sweep.scan({}));
    return sweep;
  }

  // As if it had been written, and read, so many days ago.
  void set_age(const std::string& path, std::time_t written_days, std::time_t read_days) const {
    constexpr std::time_t kDay_s = 86'400;
    const std::time_t now = std::time(nullptr);
    const timespec times[] = {{now - read_days * kDay_s, 0}, {now - written_days * kDay_s, 0}};
    EXPECT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
};

TEST_F(OverlaySweepTest, RemovesOrphansWhereItIsAsked) {
  const std::string stays = scratch_.write("a/stays.py", "x = 1\n");
  const std::string goes = scratch_.write("b/c/goes.py", "x = 1\n");
  const std::string elsewhere = scratch_.write("d/elsewhere.py", "x = 1\n");
  fill({stays, goes, elsewhere});
  std::filesystem::remove_all(scratch_ / "b");
  std::filesystem::remove(elsewhere);
  auto sweep = scanned();
  EXPECT_EQ(sweep.usage().files, 3U);
  EXPECT_THAT(sweep.orphans({scratch_ / "a", scratch_ / "b"}, {}), testing::ElementsAre(kept(goes)));
  EXPECT_TRUE(std::filesystem::exists(kept(goes)));
  sweep.remove_orphans({scratch_ / "a", scratch_ / "b"}, {});
  EXPECT_THAT(sweep.removed(), testing::ElementsAre(kept(goes)));
  EXPECT_FALSE(std::filesystem::exists(dir_ + scratch_.path() + "/b"));
  EXPECT_TRUE(std::filesystem::exists(kept(elsewhere)));
  sweep.remove_orphans({}, {});
  EXPECT_FALSE(std::filesystem::exists(kept(elsewhere)));
  EXPECT_TRUE(std::filesystem::exists(kept(stays)));
  EXPECT_EQ(sweep.usage().files, 1U);
  EXPECT_EQ(sweep.usage().bytes, kBlock);
  EXPECT_EQ(sweep.usage().removed_files, 2U);
  EXPECT_EQ(sweep.usage().removed_bytes, 2 * kBlock);
}

TEST_F(OverlaySweepTest, TheLongestUnusedGoesFirst) {
  std::vector<std::string> sources;
  for (const char* name : {"read.py", "written.py", "old.py", "older.py"}) {
    sources.push_back(scratch_.write(name, "x = 1\n"));
  }
  fill(sources);
  set_age(kept(sources[0]), 9, 1);
  set_age(kept(sources[1]), 2, 9);
  set_age(kept(sources[2]), 5, 4);
  set_age(kept(sources[3]), 8, 5);
  auto sweep = scanned();
  sweep.shrink(4 * kBlock, {});
  EXPECT_TRUE(sweep.removed().empty());
  sweep.shrink(3 * kBlock, {});  // down to 90 %, which is two of them
  EXPECT_THAT(sweep.removed(), testing::ElementsAre(kept(sources[3]), kept(sources[2])));
  sweep.shrink(0, {});
  EXPECT_EQ(sweep.usage().bytes, 0U);
  EXPECT_TRUE(std::filesystem::is_empty(dir_));
}

TEST_F(OverlaySweepTest, RemovesWhatAKillLeftAndNothingElse) {
  const std::string source = scratch_.write("mod.py", "x = 1\n");
  fill({source});
  const std::string directory = kept(source).substr(0, kept(source).rfind('/'));
  const std::string half = directory + "/.kiln-1-1";
  const std::string foreign = directory + "/note.txt";
  std::ofstream(half) << "half";
  std::ofstream(foreign) << "text";
  scanned();
  EXPECT_TRUE(std::filesystem::exists(half));  // somebody writes it at this moment
  set_age(half, 1, 1);
  EXPECT_EQ(scanned().usage().removed_bytes, kBlock);
  EXPECT_FALSE(std::filesystem::exists(half));
  scanned().shrink(0, {});
  EXPECT_TRUE(std::filesystem::exists(foreign));
}

TEST_F(OverlaySweepTest, WhatIsNotThereIsEmpty) {
  EXPECT_EQ(scanned().usage().files, 0U);
  scratch_.write("cache/overlay", "a file");
  EXPECT_FALSE(OverlaySweep(dir_).scan({}));
}

}  // namespace
}  // namespace kiln
