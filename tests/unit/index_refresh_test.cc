// What the index says after a refresh that leaves out what is proved is what it says after one that looks at
// all.
#include "daemon/index_refresh.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <thread>

#include "common/pyc.h"
#include "daemon/source_text.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_code.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kMagic = 0x0a0d0da7;
constexpr int kFiles = 6;

InterpreterInfo python() {
  InterpreterInfo info;
  info.path = info.executable = "/usr/bin/python3";
  info.implementation = "cpython";
  info.cache_tag = "cpython-311";
  info.magic = kMagic;
  return info;
}

class IndexRefreshTest : public testing::Test {
 protected:
  IndexRefreshTest() {
    refresh_.on_unwatched = [this](const std::vector<std::string>& directories) {
      for (const auto& directory : directories) watcher_.add_files_of(directory);
    };
  }

  static Index open(const std::string& path) {
    auto index = Index::open(path);
    if (!index) throw std::runtime_error(index.error().message);
    return std::move(*index);
  }

  std::string tree() const { return scratch_ / "tree"; }
  std::string directory(unsigned n) const {
    return tree() + "/" + std::string(1, static_cast<char>('a' + n));
  }
  std::string source(unsigned n) const { return directory(n % 3) + "/" + std::to_string(n / 3) + ".py"; }

  // A source with good bytecode.
  FileResult make(const std::string& path) {
    FileResult file;
    file.source = path;
    fs::create_directories(fs::path(path).parent_path() / "__pycache__");
    write(path, "x = " + std::to_string(++version_) + "\n");
    file.source_stamp = stamp_of(path);
    while (!is_settled(file.source_stamp)) std::this_thread::yield();  // for the clock of files' times
    file.pyc = cache_from_source(path, "cpython-311", 0);
    write(file.pyc, encode_pyc_header(timestamp_header(kMagic, file.source_stamp.python_mtime_s(),
                                                       file.source_stamp.size)) +
                        tiny_code());
    file.pyc_stamp = stamp_of(file.pyc);
    file.outcome = FileOutcome::compiled;
    return file;
  }

  // A new file in its place, as an editor or a compiler does it.
  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path + ".new") << text;
    fs::rename(path + ".new", path);
  }

  void record(const std::vector<FileResult>& files) {
    refresh_.note(files);
    ASSERT_TRUE(proved_.record(python(), 0, files));
    ASSERT_TRUE(plain_.record(python(), 0, files));
  }

  static std::vector<std::string> listed(Index& index) {
    std::vector<std::string> entries;
    EXPECT_TRUE(index.list({}, [&](const IndexEntry& entry) {
      entries.push_back(std::string(word(entry.state)) + " " + entry.source);
    }));
    return entries;
  }

  std::string elsewhere(unsigned n) const { return scratch_ / ("elsewhere" + std::to_string(n)); }

  // No event tells the directory of FROM of a link; what is known of it is proved until something else
  // happens to it.
  static void link(const std::string& from, const std::string& to) {
    std::error_code ignored;
    fs::create_hard_link(from, to, ignored);
    fs::permissions(from, fs::perms::owner_write, fs::perm_options::add, ignored);
  }

  // As Python's own rule sees it, nothing has happened.
  void mislead(const std::string& path) {
    std::error_code failed;
    const auto modified = fs::last_write_time(path, failed);
    if (failed || fs::is_symlink(path)) return;
    std::string text = read_file(path);
    text.back() = text.back() == '#' ? '\n' : '#';
    write(path, text);
    fs::last_write_time(path, modified);
  }

  void change(std::mt19937& random) {
    const auto pick = [&](unsigned count) { return static_cast<unsigned>(random() % count); };
    const std::string path = source(pick(kFiles));
    std::error_code ignored;
    switch (pick(13)) {
      case 0:
        if (fs::exists(fs::path(path).parent_path())) write(path, "edited = " + std::to_string(++version_));
        break;
      case 1:
        fs::remove(path, ignored);
        break;
      case 2:
        fs::remove(cache_from_source(path, "cpython-311", 0), ignored);
        break;
      case 3:
        fs::rename(directory(pick(3)), directory(pick(3)), ignored);
        break;
      case 4:
        fs::rename(directory(pick(3)) + "/__pycache__", tree() + "/aside", ignored);
        break;
      case 5:
        fs::remove_all(directory(pick(3)), ignored);
        break;
      case 6:
        fs::remove(path, ignored);
        fs::create_symlink(source(pick(kFiles)), path, ignored);
        break;
      case 7:
        link(path, elsewhere(pick(kFiles)));
        break;
      case 8:
        link(path, source(pick(kFiles)));
        break;
      case 9:
        fs::rename(elsewhere(pick(kFiles)), path, ignored);
        break;
      case 10:
        fs::rename(path, elsewhere(pick(kFiles)), ignored);
        break;
      case 11:
        mislead(path);
        break;
      default:
        record({make(path)});
    }
  }

  Scratch scratch_;
  Watcher watcher_;
  IndexRefresh refresh_{&watcher_};
  Index proved_ = open(scratch_ / "proved.db");
  Index plain_ = open(scratch_ / "plain.db");
  int version_ = 100;
};

// By a root; or without one, when each directory is watched because somebody has asked.
class WaysToWatch : public IndexRefreshTest, public testing::WithParamInterface<bool> {};

TEST_P(WaysToWatch, LeaveOutNothingThatMatters) {
  const auto seed = std::random_device{}();
  std::cout << "seed " << seed << '\n';
  std::mt19937 random(seed);
  fs::create_directory(tree());
  if (GetParam()) watcher_.add_root(tree());
  for (unsigned n = 0; n < kFiles; ++n) record({make(source(n))});
  const int steps = std::getenv("KILN_TEST_ALL") != nullptr ? 20'000 : 400;
  std::size_t misleading = 0;
  for (int step = 0; step < steps; ++step) {
    for (auto changes = random() % 4; changes > 0; --changes) change(random);
    // Proofs are to be had by waiting; without it too little is left out to matter.
    if (random() % 2 == 0) {
      ASSERT_TRUE(watcher_.wait_until_settled(std::chrono::minutes(1)));
    }
    if (random() % 2 == 0) {
      ASSERT_TRUE(refresh_.refresh(proved_, {}));
      ASSERT_TRUE(plain_.refresh());
      ASSERT_EQ(listed(proved_), listed(plain_)) << "step " << step;
    }
    ASSERT_TRUE(refresh_.find_misleading(proved_, {}));
    misleading += proved_.remove_misleading()->size();
    ASSERT_TRUE(plain_.find_misleading({}));
    ASSERT_EQ(*plain_.remove_misleading(), std::vector<std::string>{}) << "step " << step;
  }
  EXPECT_GT(misleading, 0U);
}

INSTANTIATE_TEST_SUITE_P(Each, WaysToWatch, testing::Bool(),
                         [](const auto& by_root) { return by_root.param ? "ByRoot" : "ByDirectory"; });

// What lies beside bytecode that was made anew is looked at, too.
class MadeAnew : public IndexRefreshTest {
 protected:
  MadeAnew() {
    fs::create_directory(tree());
    made_ = make(source(0));
  }

  // Then there is old bytecode beside that of RECORDED, of which nothing is known.
  void record_first(const FileResult& recorded) {
    record({recorded});
    EXPECT_EQ(removed(), std::vector<std::string>{});
    fs::copy_file(made_.pyc, beside());
    mislead(source(0));
  }

  FileResult make_anew() {
    auto anew = made_;
    while (!is_settled(stamp_of(source(0)))) std::this_thread::yield();
    write(anew.pyc, read_file(made_.pyc));
    anew.source_stamp = stamp_of(source(0));
    anew.pyc_stamp = stamp_of(anew.pyc);
    return anew;
  }

  static FileResult unsettled(FileResult file) {
    file.source_stamp.changed_ns = 0;
    file.source_content = *content_of(file.source);
    return file;
  }

  std::string beside() const { return cache_from_source(source(0), "cpython-311", 1); }

  std::vector<std::string> removed() {
    EXPECT_TRUE(refresh_.find_misleading(proved_, {}));
    return *proved_.remove_misleading();
  }

  FileResult made_;
};

TEST_F(MadeAnew, LeavesNothingOldBesideIt) {
  record_first(made_);
  record({make_anew()});
  EXPECT_EQ(removed(), std::vector<std::string>{beside()});
}

// As when each edit is compiled at once.
TEST_F(MadeAnew, BeforeTheClockTickedLeavesNothingOldBesideIt) {
  record_first(unsettled(made_));
  record({unsettled(make_anew())});
  EXPECT_EQ(removed(), std::vector<std::string>{beside()});
}

TEST_F(MadeAnew, ByOthersLeavesNothingOldBesideIt) {
  record_first(made_);
  make_anew();
  ASSERT_TRUE(refresh_.refresh(proved_, {}));
  const auto files = removed();
  EXPECT_TRUE(std::ranges::count(files, beside())) << files.size();
}

// Who compiles in the background tells it late.
TEST_F(IndexRefreshTest, WhatIsRecordedAfterItIsGoneIsLookedAtAgain) {
  fs::create_directory(tree());
  const auto made = make(source(0));
  fs::remove_all(tree());
  ASSERT_TRUE(refresh_.refresh(proved_, {}));
  record({made});
  EXPECT_EQ(listed(proved_).size(), 1U);
  ASSERT_TRUE(refresh_.refresh_recorded(proved_, {}));
  EXPECT_EQ(listed(proved_), std::vector<std::string>{});
}

TEST_F(IndexRefreshTest, WhatIsNotWatchedIsFromThenOn) {
  fs::create_directory(tree());
  record({make(source(0))});
  ASSERT_TRUE(refresh_.refresh(proved_, {}));
  ASSERT_TRUE(watcher_.wait_until_settled(std::chrono::minutes(1)));
  EXPECT_TRUE(watcher_.watches_files_of(directory(0)));
  ASSERT_TRUE(refresh_.refresh(proved_, {}));
  EXPECT_TRUE(watcher_.files_unchanged_since(directory(0), watcher_.drain()));
  EXPECT_TRUE(watcher_.files_unchanged_since(directory(0) + "/__pycache__", watcher_.drain()));
}

TEST_F(IndexRefreshTest, WhatIsProvedIsNotLookedAt) {
  fs::create_directory(tree());
  record({make(source(0))});
  watcher_.add_root(tree());
  ASSERT_TRUE(watcher_.wait_until_settled(std::chrono::minutes(1)));
  ASSERT_TRUE(refresh_.refresh(proved_, {}));
  // Seen by nobody who does not look: a change that no event tells of, made by what the watcher does not
  // know.
  const std::string other = scratch_ / "other";
  ASSERT_EQ(::link(source(0).c_str(), other.c_str()), 0);
  std::ofstream(other) << "written through a link";
  ASSERT_TRUE(refresh_.refresh(proved_, {}));
  EXPECT_EQ(listed(proved_), std::vector<std::string>{"fresh " + source(0)}) << "it was looked at";
}

}  // namespace
}  // namespace kiln
