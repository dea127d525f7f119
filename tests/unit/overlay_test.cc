#include "daemon/overlay.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

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
  // Fills with SOURCES and waits for the end of it.
  void fill(std::vector<std::string> sources, int optimize = 0, mode_t umask = 022) {
    IndexThread index(index_path_);
    {
      Overlay overlay(dir_, index);
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
  Overlay overlay(dir_, index);
  overlay.stop();
  overlay.fill({system_python(), {{source}, 022, 0}});
  overlay.join();
  EXPECT_EQ(read_file(kept(source)), "");
}

TEST_F(OverlayTest, OrphansCanBeRemoved) {
  const std::string stays = scratch_.write("a/stays.py", "x = 1\n");
  const std::string goes = scratch_.write("b/c/goes.py", "x = 1\n");
  fill({stays, goes});
  const std::string half = kept(stays).substr(0, kept(stays).rfind('/')) + "/.kiln-1-1";
  std::ofstream(half) << "half";
  EXPECT_EQ(remove_overlay_orphans(dir_), 0U);
  std::filesystem::remove(goes);
  const utimbuf long_ago{1, 1};
  ::utime(half.c_str(), &long_ago);
  EXPECT_EQ(remove_overlay_orphans(dir_), 2U);
  EXPECT_TRUE(std::filesystem::exists(kept(stays)));
  EXPECT_FALSE(std::filesystem::exists(dir_ + scratch_.path() + "/b"));
  EXPECT_EQ(remove_overlay_orphans(scratch_ / "missing"), 0U);
}

}  // namespace
}  // namespace kiln
