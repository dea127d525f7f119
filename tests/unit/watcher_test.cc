// The watch engine over a real tree: each way in which a watcher may miss a change, by name.
#include "daemon/watch/watcher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <semaphore>

#include "common/path_text.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kPatience = std::chrono::minutes(1);

void append(const std::string& path) {
  std::ofstream(path, std::ios::app) << "more";
}

// All that has happened is known and looked at. Returns the tick of that.
Tick settle(Watcher& watcher) {
  Tick tick = 0;
  do {
    tick = watcher.drain();
    EXPECT_TRUE(watcher.wait_until_settled(kPatience));
  } while (watcher.drain() != tick);
  return tick;
}

// True if the hints lead to PATH.
bool leads_to(const Changes& changes, const std::string& path) {
  const std::string directory(directory_of(path));
  return std::ranges::count(changes.files, path) > 0 ||
         std::ranges::count(changes.directories, directory) > 0 ||
         std::ranges::any_of(changes.trees, [&](const auto& tree) { return is_below(path, tree); });
}

// Events that the kernel keeps for one instance; it drops the others.
std::size_t queue_limit() {
  std::size_t limit = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit;
  return limit;
}

class WatcherTest : public testing::Test {
 protected:
  explicit WatcherTest(WatcherOptions options = {}) : watcher_(std::move(options)) {}

  Tick settle() { return kiln::settle(watcher_); }

  Tick watch_root(const std::string& path) {
    watcher_.add_root(path);
    return settle();
  }

  Tick hold(const std::string& path) {
    watcher_.add_file(path);
    return settle();
  }

  bool proved(const std::string& path, Tick tick) {
    watcher_.drain();
    return watcher_.unchanged_since(path, tick);
  }

  bool tree_proved(const std::string& path, Tick tick) {
    watcher_.drain();
    return watcher_.tree_unchanged_since(path, tick).has_value();
  }

  // After CHANGE nothing is proved of PATH and ROOT, and when all has settled, it is again, but for the time
  // before.
  template <class Change>
  void expect_heard(const std::string& path, const std::string& root, Change change) {
    const Tick before = settle();
    ASSERT_TRUE(proved(path, before));
    ASSERT_TRUE(tree_proved(root, before));
    change();
    EXPECT_FALSE(proved(path, before));
    EXPECT_FALSE(tree_proved(root, before));
    const Tick after = settle();
    EXPECT_FALSE(proved(path, before));
    EXPECT_FALSE(tree_proved(root, before));
    EXPECT_TRUE(proved(path, after));
    EXPECT_TRUE(tree_proved(root, after));
  }

  RootReport report(std::size_t number = 0) const { return watcher_.describe().roots.at(number); }

  Scratch scratch_;
  Watcher watcher_;
};

TEST_F(WatcherTest, ProvesNothingThatItWasNotToldOf) {
  const auto file = scratch_.write("r/a.py", "");
  EXPECT_FALSE(proved(file, watcher_.drain()));
  EXPECT_FALSE(proved(scratch_ / "r", watcher_.drain()));
  watch_root(scratch_ / "r");
  EXPECT_FALSE(proved(file, watcher_.drain())) << "it may have several links";
  EXPECT_TRUE(proved(scratch_ / "r", watcher_.drain()));
  EXPECT_FALSE(tree_proved(scratch_.path(), watcher_.drain()));
}

TEST_F(WatcherTest, HearsEveryKindOfChangeOfAFile) {
  const auto root = scratch_ / "r";
  const auto file = scratch_.write("r/p/a.py", "x");
  watch_root(root);
  hold(file);
  expect_heard(file, root, [&] { append(file); });
  expect_heard(file, root, [&] { ASSERT_EQ(::truncate(file.c_str(), 0), 0); });
  expect_heard(file, root, [&] { ASSERT_EQ(::chmod(file.c_str(), 0600), 0); });
  expect_heard(file, root, [&] { fs::last_write_time(file, fs::file_time_type()); });
  expect_heard(file, root, [&] { fs::remove(file); });
  expect_heard(file, root, [&] { scratch_.write("r/p/a.py", "y"); });
  expect_heard(file, root, [&] { fs::rename(file, scratch_ / "away.py"); });
  expect_heard(file, root, [&] { fs::rename(scratch_ / "away.py", file); });
}

TEST_F(WatcherTest, AnUntouchedNeighbourStaysProved) {
  const auto file = scratch_.write("r/a.py", "x");
  const auto other = scratch_.write("r/b.py", "x");
  watch_root(scratch_ / "r");
  hold(file);
  const Tick tick = hold(other);
  append(file);
  EXPECT_FALSE(proved(file, tick));
  EXPECT_TRUE(proved(other, tick));
}

TEST_F(WatcherTest, AnAbsentFileIsProvedToBeAbsent) {
  const auto root = scratch_ / "r";
  fs::create_directory(root);
  watch_root(root);
  const auto file = root + "/a.py";
  hold(file);
  expect_heard(file, root, [&] { scratch_.write("r/a.py", "x"); });
}

TEST_F(WatcherTest, HearsARenameOver) {
  const auto root = scratch_ / "r";
  const auto file = scratch_.write("r/a.py", "old");
  watch_root(root);
  hold(file);
  for (int i = 0; i < 3; ++i) {
    expect_heard(file, root, [&] { fs::rename(scratch_.write("new.py", "new"), file); });
    expect_heard(file, root, [&] { append(file); });  // the new one has a watch, too
  }
}

TEST_F(WatcherTest, HearsOfTheOneWatchPerInode) {
  const auto file = scratch_.write("r/a.py", "x");
  watch_root(scratch_ / "r");
  hold(file);
  const auto watches = watcher_.describe().watches;
  for (int i = 0; i < 50; ++i) {
    fs::rename(scratch_.write("new.py", "new"), file);
    settle();
  }
  EXPECT_EQ(watcher_.describe().watches, watches);
}

TEST_F(WatcherTest, NewDirectoriesAreWatchedHoweverFastTheyFill) {
  const auto root = scratch_ / "r";
  fs::create_directory(root);
  watch_root(root);
  watcher_.take_changes();
  for (int i = 0; i < 50; ++i) scratch_.write("r/a/" + std::to_string(i) + "/b/c/d/x.py", "x");
  Tick tick = settle();
  const Changes changes = watcher_.take_changes();
  for (int i = 0; i < 50; ++i) {
    const auto file = root + "/a/" + std::to_string(i) + "/b/c/d/x.py";
    EXPECT_TRUE(leads_to(changes, file)) << file;
    ASSERT_TRUE(tree_proved(root, tick));
    append(file);
    EXPECT_FALSE(tree_proved(root, tick)) << file;
    tick = settle();
  }
}

TEST_F(WatcherTest, HearsAnEditInARenamedNestedDirectory) {
  const auto root = scratch_ / "r";
  scratch_.write("r/a/b/c/x.py", "x");
  watch_root(root);
  fs::rename(root + "/a", root + "/z");
  const auto file = root + "/z/b/c/x.py";
  hold(file);
  expect_heard(file, root, [&] { append(file); });
  fs::create_directory(root + "/a");
  fs::rename(root + "/z/b", root + "/a/b");
  hold(root + "/a/b/c/x.py");
  expect_heard(root + "/a/b/c/x.py", root, [&] { append(root + "/a/b/c/x.py"); });
  expect_heard(file, root, [&] { scratch_.write("r/z/b/c/x.py", "new"); });
}

TEST_F(WatcherTest, ATreeThatIsMovedAwayIsForgotten) {
  const auto root = scratch_ / "r";
  const auto file = scratch_.write("r/a/b/x.py", "x");
  watch_root(root);
  const auto before = watcher_.describe().watches;
  const Tick tick = hold(file);
  fs::rename(root + "/a", scratch_ / "away");
  EXPECT_FALSE(proved(file, tick));
  EXPECT_FALSE(tree_proved(root, tick));
  watcher_.remove_file(file);
  settle();
  EXPECT_EQ(watcher_.describe().watches, before - 2);
  watcher_.take_changes();
  append(scratch_ / "away/b/x.py");
  settle();
  EXPECT_THAT(watcher_.take_changes().files, IsEmpty());
  fs::rename(scratch_ / "away", root + "/back");
  const Tick back = settle();
  ASSERT_TRUE(tree_proved(root, back));
  append(root + "/back/b/x.py");
  EXPECT_FALSE(tree_proved(root, back));
}

TEST_F(WatcherTest, DirectoriesThatAreSwappedAreKnownApart) {
  const auto root = scratch_ / "r";
  const auto one = scratch_.write("r/one/sub/x.py", "1");
  const auto two = scratch_.write("r/two/sub/x.py", "2");
  watch_root(root);
  hold(one);
  hold(two);
  expect_heard(one, root, [&] {
    ASSERT_EQ(
        ::renameat2(AT_FDCWD, (root + "/one").c_str(), AT_FDCWD, (root + "/two").c_str(), RENAME_EXCHANGE),
        0);
  });
  const Tick tick = settle();
  append(two);
  EXPECT_FALSE(proved(two, tick));
  EXPECT_TRUE(proved(one, tick));
}

TEST_F(WatcherTest, WhatIsExchangedIsThere) {
  const auto root = scratch_ / "r";
  scratch_.write("r/one/x.py", "1");
  scratch_.write("r/two/y.py", "2");
  scratch_.write("r/plain.py", "");
  fs::create_symlink("/etc/passwd", root + "/link.py");
  watch_root(root);
  const auto exchange = [&](const std::string& one, const std::string& two) {
    ASSERT_EQ(::renameat2(AT_FDCWD, (root + one).c_str(), AT_FDCWD, (root + two).c_str(), RENAME_EXCHANGE),
              0);
    const Tick tick = settle();
    EXPECT_TRUE(tree_proved(root, tick)) << one;
  };
  const auto expect_heard_in = [&](const std::string& file) {
    const Tick tick = settle();
    append(root + file);
    EXPECT_FALSE(tree_proved(root, tick)) << file;
  };
  exchange("/one", "/two");
  expect_heard_in("/two/x.py");
  expect_heard_in("/one/y.py");
  exchange("/plain.py", "/link.py");
  EXPECT_THAT(watcher_.tree_unchanged_since(root, settle()).value(), ElementsAre(root + "/plain.py"));
  exchange("/link.py", "/one");
  expect_heard_in("/link.py/y.py");
  exchange("/two", "/one");
  expect_heard_in("/one/x.py");
}

TEST_F(WatcherTest, ARootMayBeASymlinkThatIsPointedElsewhere) {
  scratch_.write("v1/pkg/x.py", "1");
  scratch_.write("v2/pkg/x.py", "2");
  const auto root = scratch_ / "current";
  fs::create_directory_symlink("v1", root);
  const auto file = root + "/pkg/x.py";
  watch_root(root);
  hold(file);
  expect_heard(file, root, [&] { append(scratch_ / "v1/pkg/x.py"); });
  expect_heard(file, root, [&] {
    fs::create_directory_symlink("v2", scratch_ / "new");
    fs::rename(scratch_ / "new", root);
  });
  expect_heard(file, root, [&] { append(scratch_ / "v2/pkg/x.py"); });
  const Tick tick = settle();
  append(scratch_ / "v1/pkg/x.py");
  EXPECT_TRUE(proved(file, tick));
}

// A symlink below a root leads out of it; a directory behind it that is held hears through the link.
TEST_F(WatcherTest, ADirectoryBehindASymlinkBelowARootIsCheckedByStat) {
  scratch_.write("v1/pkg/x.py", "1");
  scratch_.write("v2/pkg/x.py", "2");
  const auto root = scratch_ / "r";
  fs::create_directory(root);
  fs::create_directory_symlink(scratch_ / "v1/pkg", root + "/link");
  watch_root(root);
  const auto file = root + "/link/x.py";
  hold(file);
  const auto expect_heard_behind = [&](auto change) {
    const Tick tick = settle();
    ASSERT_TRUE(proved(file, tick));
    change();
    EXPECT_FALSE(proved(file, tick));
    settle();
    EXPECT_FALSE(proved(file, tick));
  };
  expect_heard_behind([&] { append(scratch_ / "v1/pkg/x.py"); });
  expect_heard_behind([&] {
    fs::rename(scratch_ / "v1", scratch_ / "v0");  // nobody watches this
    fs::rename(scratch_ / "v2", scratch_ / "v1");
  });
  expect_heard_behind([&] {
    fs::remove(root + "/link");
    fs::create_directory_symlink(scratch_ / "v0/pkg", root + "/link");
  });
  expect_heard_behind([&] { append(scratch_ / "v0/pkg/x.py"); });
}

TEST_F(WatcherTest, WhatWasMovedAwayIsNotUnheard) {
  const auto directory = scratch_ / "m";
  scratch_.write("m/x.py", "x");
  watcher_.add_files_of(directory);
  settle();
  fs::rename(directory, scratch_ / "other");
  settle();
  EXPECT_TRUE(watcher_.is_missing(directory));
  EXPECT_EQ(watcher_.why_unheard(directory), "");
}

TEST_F(WatcherTest, ARootMayVanishAndReturn) {
  const auto root = scratch_ / "r";
  const auto file = scratch_.write("r/p/x.py", "x");
  watch_root(root);
  hold(file);
  for (int i = 0; i < 3; ++i) {
    const Tick tick = settle();
    ASSERT_TRUE(proved(file, tick));
    fs::remove_all(root);
    EXPECT_FALSE(proved(file, tick));
    settle();
    EXPECT_EQ(report().state, RootState::missing);
    scratch_.write("r/p/x.py", "x");
    EXPECT_FALSE(proved(file, tick));
    EXPECT_FALSE(tree_proved(root, tick));
    settle();
    EXPECT_EQ(report().state, RootState::watching);
    expect_heard(file, root, [&] { append(file); });
  }
}

TEST_F(WatcherTest, WhatIsBelowAMissingDirectoryIsProvedToBeAbsent) {
  const auto file = scratch_ / "a/b/x.py";
  Tick tick = hold(file);
  EXPECT_TRUE(proved(file, tick));
  fs::create_directory_symlink("elsewhere", scratch_ / "a");
  tick = settle();
  EXPECT_TRUE(proved(file, tick));
  scratch_.write("elsewhere/b/x.py", "x");
  EXPECT_FALSE(proved(file, tick));
  EXPECT_TRUE(proved(file, settle()));
}

TEST_F(WatcherTest, ASymlinkBelowARootMayDangle) {
  const auto file = scratch_ / "r/link/x.py";
  fs::create_directory(scratch_ / "r");
  fs::create_directory_symlink("../elsewhere", scratch_ / "r/link");
  watch_root(scratch_ / "r");
  const Tick tick = hold(file);
  EXPECT_TRUE(proved(file, tick));
  scratch_.write("elsewhere/x.py", "x");
  EXPECT_FALSE(proved(file, tick));
}

TEST_F(WatcherTest, ARootMayComeLater) {
  const auto root = scratch_ / "a/b/r";
  watch_root(root);
  EXPECT_EQ(report().state, RootState::missing);
  scratch_.write("a/b/r/p/x.py", "x");
  settle();
  EXPECT_EQ(report().state, RootState::watching);
  EXPECT_TRUE(leads_to(watcher_.take_changes(), root + "/p/x.py"));
}

// It leads to itself, or to a file, or nowhere: there is nothing to watch, and nothing to be busy with.
TEST_F(WatcherTest, ARootMayBeASymlinkThatLeadsToNoDirectory) {
  const auto root = scratch_ / "r";
  scratch_.write("file", "");
  watcher_.add_root(root);
  for (const char* name : {"a", "a/b", "a/b/c"}) watcher_.add_file(root + "/" + name + "/x.py");
  for (const auto& target : {root, root + "/a", scratch_ / "file", scratch_ / "nowhere"}) {
    fs::create_symlink(target, root);
    const Tick tick = settle();
    EXPECT_EQ(report().state, RootState::missing) << target;
    EXPECT_EQ(watcher_.drain(), tick) << target;
    EXPECT_TRUE(proved(root + "/a/x.py", tick)) << target;
    fs::remove(root);
    scratch_.write("r/a/x.py", "x");
    EXPECT_FALSE(proved(root + "/a/x.py", tick)) << target;
    expect_heard(root + "/a/x.py", root, [&] { append(root + "/a/x.py"); });
    fs::remove_all(root);
  }
  for (const char* name : {"a", "a/b", "a/b/c"}) watcher_.remove_file(root + "/" + name + "/x.py");
  watcher_.remove_root(root);
  settle();
  EXPECT_EQ(watcher_.describe().directories, 0U);
}

TEST_F(WatcherTest, ARootThatIsAFileIsMissing) {
  const auto root = scratch_.write("r", "");
  watch_root(root);
  EXPECT_EQ(report().state, RootState::missing);
  fs::remove(root);
  fs::create_directory(root);
  settle();
  EXPECT_EQ(report().state, RootState::watching);
}

TEST_F(WatcherTest, AnAncestorThatIsSwappedIsSeen) {
  const auto file = scratch_.write("deploy/app/src/x.py", "old");
  scratch_.write("next/app/src/x.py", "new");
  const auto root = scratch_ / "deploy/app/src";
  watch_root(root);
  hold(file);
  expect_heard(file, root, [&] {
    fs::rename(scratch_ / "deploy", scratch_ / "previous");
    fs::rename(scratch_ / "next", scratch_ / "deploy");
  });
  expect_heard(file, root, [&] { append(file); });
}

TEST_F(WatcherTest, HearsWritesThroughOtherLinks) {
  const auto root = scratch_ / "r";
  const auto file = scratch_.write("r/x.py", "x");
  watch_root(root);
  hold(file);
  const auto link = scratch_ / "elsewhere.py";
  const Tick tick = settle();
  fs::create_hard_link(file, link);
  append(link);
  EXPECT_FALSE(proved(file, tick));
  expect_heard(file, root, [&] { append(link); });
  expect_heard(file, root, [&] { fs::remove(link); });
}

TEST_F(WatcherTest, ATreeNamesWhatEventsDoNotVouchFor) {
  const auto root = scratch_ / "r";
  scratch_.write("r/x.py", "x");
  fs::create_hard_link(root + "/x.py", scratch_ / "elsewhere.py");
  fs::create_symlink("/etc/passwd", root + "/y.py");
  fs::create_directory_symlink("/etc", root + "/etc");
  Tick tick = watch_root(root);
  EXPECT_THAT(watcher_.tree_unchanged_since(root, tick).value(),
              ElementsAre(root + "/etc", root + "/x.py", root + "/y.py"));
  fs::create_symlink("/etc/group", root + "/z.py");
  scratch_.write("r/plain.py", "x");
  fs::remove(root + "/y.py");
  tick = settle();
  EXPECT_THAT(watcher_.tree_unchanged_since(root, tick).value(),
              ElementsAre(root + "/etc", root + "/x.py", root + "/z.py"));
}

TEST_F(WatcherTest, ATreeIsNotProvedWithMoreSymlinksThanAreKept) {
  const auto root = scratch_ / "r";
  fs::create_directory(root);
  Tick tick = watch_root(root);
  for (int i = 0; i < 100; ++i) fs::create_symlink("/etc", root + "/" + std::to_string(i));
  EXPECT_FALSE(tree_proved(root, settle()));
  EXPECT_FALSE(tree_proved(root, settle()));
  for (int i = 0; i < 95; ++i) fs::remove(root + "/" + std::to_string(i));
  tree_proved(root, settle());  // the question has it looked at
  tick = settle();
  EXPECT_EQ(watcher_.tree_unchanged_since(root, tick).value().size(), 5U);
}

TEST_F(WatcherTest, ManyNewFilesAreLookedAtWhenSomebodyAsks) {
  const auto root = scratch_ / "r";
  fs::create_directory(root);
  watch_root(root);
  for (int i = 0; i < 100; ++i) scratch_.write("r/" + std::to_string(i), "");
  tree_proved(root, settle());
  EXPECT_TRUE(tree_proved(root, settle()));
}

TEST_F(WatcherTest, ASymlinkToAFileIsNeverProved) {
  const auto target = scratch_.write("x.py", "x");
  fs::create_directory(scratch_ / "r");
  fs::create_symlink(target, scratch_ / "r/link.py");
  watch_root(scratch_ / "r");
  const Tick tick = hold(scratch_ / "r/link.py");
  EXPECT_FALSE(proved(scratch_ / "r/link.py", tick));
}

TEST_F(WatcherTest, WhoMayNoLongerEnterADirectoryReachesNothingBelow) {
  const auto root = scratch_ / "r";
  const auto file = scratch_.write("r/a/b/x.py", "x");
  watch_root(root);
  hold(file);
  expect_heard(file, root, [&] { ASSERT_EQ(::chmod((root + "/a").c_str(), 0700), 0); });
  expect_heard(file, root, [&] { ASSERT_EQ(::chmod(root.c_str(), 0700), 0); });
}

TEST_F(WatcherTest, OneDirectoryIsWatchedWithoutWhatLiesBelow) {
  const auto file = scratch_.write("home/x.py", "x");
  scratch_.write("home/below/y.py", "y");
  watcher_.add_directory(scratch_ / "home");
  const Tick tick = hold(file);
  EXPECT_EQ(watcher_.describe().directories, 1U);
  EXPECT_EQ(watcher_.describe().held_files, 1U);
  EXPECT_TRUE(proved(file, tick));
  EXPECT_FALSE(tree_proved(scratch_ / "home", tick));
  watcher_.take_changes();
  append(file);
  EXPECT_FALSE(proved(file, tick));
  EXPECT_THAT(watcher_.take_changes().files, Contains(file));
  watcher_.remove_file(file);
  settle();
  EXPECT_EQ(watcher_.describe().watches, 1U);
  watcher_.remove_directory(scratch_ / "home");
  settle();
  EXPECT_EQ(watcher_.describe().watches, 0U);
  EXPECT_EQ(watcher_.describe().directories, 0U);
}

TEST_F(WatcherTest, ADirectoryIsWatchedWithItsFilesAndTheirBytecode) {
  const auto home = scratch_ / "home";
  const auto file = scratch_.write("home/x.py", "x");
  scratch_.write("home/below/y.py", "y");
  watcher_.add_files_of(home);
  Tick tick = settle();
  const auto are_proved = [&](const std::string& directory) {
    watcher_.drain();
    return watcher_.files_unchanged_since(directory, tick);
  };
  const auto is_doubtful = [&](const std::string& directory) {
    const auto doubtful = watcher_.doubtful_since(tick);
    return !doubtful || std::ranges::count(*doubtful, directory) > 0;
  };
  EXPECT_TRUE(are_proved(home));
  EXPECT_TRUE(are_proved(home + "/__pycache__"));
  EXPECT_FALSE(are_proved(home + "/below"));
  EXPECT_FALSE(is_doubtful(home));
  append(file);
  EXPECT_FALSE(are_proved(home));
  EXPECT_TRUE(is_doubtful(home));
  EXPECT_TRUE(are_proved(home + "/__pycache__"));
  tick = settle();
  EXPECT_TRUE(are_proved(home));
  scratch_.write("home/__pycache__/x.pyc", "x");
  EXPECT_FALSE(are_proved(home + "/__pycache__"));
  EXPECT_TRUE(is_doubtful(home + "/__pycache__"));
  tick = settle();
  EXPECT_TRUE(are_proved(home + "/__pycache__"));
  watcher_.remove_files_of(home);
  settle();
  EXPECT_FALSE(are_proved(home));
  EXPECT_TRUE(is_doubtful(home));
  EXPECT_EQ(watcher_.describe().watches, 0U);
  EXPECT_EQ(watcher_.describe().directories, 0U);
}

TEST_F(WatcherTest, RemovingBytecodeIsTold) {
  const auto home = scratch_ / "home";
  const auto source = scratch_.write("home/x.py", "x");
  const auto pyc = scratch_.write("home/__pycache__/x.cpython-311.pyc", "x");
  watcher_.add_files_of(home);
  settle();
  fs::rename(scratch_.write("home/__pycache__/x.new", "y"), pyc);
  fs::remove(scratch_.write("home/x.py~", "y"));
  EXPECT_FALSE(watcher_.is_being_removed(pyc));
  fs::remove(pyc);
  EXPECT_TRUE(watcher_.is_being_removed(pyc));
  EXPECT_TRUE(watcher_.is_being_removed(home + "/__pycache__/y.cpython-311.pyc"));
  fs::remove(home + "/__pycache__");
  EXPECT_TRUE(watcher_.is_being_removed(pyc)) << "what was in it is forgotten, that it is gone is not";
  watcher_.take_changes();
  watcher_.hint(pyc);
  EXPECT_THAT(watcher_.take_changes().files, Contains(pyc));
}

TEST_F(WatcherTest, RootsNestAndOverlap) {
  const auto file = scratch_.write("r/a/b/x.py", "x");
  watcher_.add_root(scratch_ / "r/a/b");
  settle();
  watcher_.add_root(scratch_ / "r");
  watcher_.add_root(scratch_ / "r/a");
  hold(file);
  expect_heard(file, scratch_ / "r", [&] { append(file); });
  expect_heard(file, scratch_ / "r/a", [&] { fs::rename(scratch_.write("new", ""), file); });
  watcher_.remove_root(scratch_ / "r");
  expect_heard(file, scratch_ / "r/a", [&] { append(file); });
  expect_heard(file, scratch_ / "r/a", [&] {
    fs::rename(scratch_ / "r", scratch_ / "q");
    scratch_.write("r/a/b/x.py", "x");
  });
  watcher_.remove_root(scratch_ / "r/a");
  expect_heard(file, scratch_ / "r/a/b", [&] { append(file); });
  watcher_.remove_root(scratch_ / "r/a/b");
  watcher_.remove_file(file);
  settle();
  EXPECT_EQ(watcher_.describe().watches, 0U);
}

// A root and the directory that it leads to by a symlink are one inode, with one watch.
TEST_F(WatcherTest, OneDirectoryMayHaveTwoPaths) {
  const auto file = scratch_.write("real/p/x.py", "x");
  fs::create_directory_symlink("real", scratch_ / "link");
  watch_root(scratch_ / "link");
  watch_root(scratch_ / "real");
  const auto other = scratch_ / "link/p/x.py";
  hold(file);
  hold(other);
  EXPECT_EQ(watcher_.describe().watches, 3U);
  const Tick tick = settle();
  append(file);
  EXPECT_FALSE(proved(file, tick));
  EXPECT_FALSE(proved(other, tick));
  watcher_.remove_root(scratch_ / "link");
  watcher_.remove_file(other);
  expect_heard(file, scratch_ / "real", [&] { append(other); });
}

TEST_F(WatcherTest, IgnoresWhatNobodyImportsFrom) {
  const auto root = scratch_ / "r";
  for (const char* name : {"a", "__pycache__", ".git", "node_modules", "build", "x.egg-info", "a/gen"}) {
    fs::create_directories(root + "/" + name + "/sub");
  }
  watcher_.add_root(root, {"build", "*.egg-info", "a/gen"});
  settle();
  // r, a, a/sub, __pycache__, __pycache__/sub
  EXPECT_EQ(report().directories, 5U);
  fs::create_directories(root + "/b/.git/x");
  settle();
  EXPECT_EQ(report().directories, 6U);
  watcher_.add_root(root);
  settle();
  EXPECT_EQ(report().directories, 12U);
  watcher_.add_root(root, {"*"});
  settle();
  EXPECT_EQ(report().directories, 1U);
  EXPECT_EQ(watcher_.describe().watches, 1U);
}

TEST_F(WatcherTest, HearsBytecodeThatIsRemoved) {
  const auto root = scratch_ / "r";
  const auto pyc = scratch_.write("r/__pycache__/x.cpython-311.pyc", "x");
  watch_root(root);
  hold(pyc);
  expect_heard(pyc, root, [&] { fs::remove_all(root + "/__pycache__"); });
}

TEST_F(WatcherTest, FileNamesAreBytes) {
  const auto root = scratch_ / "r";
  const auto file = scratch_.write("r/d\xff\n/\x01 \xfe.py", "x");
  watch_root(root);
  hold(file);
  expect_heard(file, root, [&] { append(file); });
  EXPECT_TRUE(leads_to(watcher_.take_changes(), file));
}

// The thread waits where it looks at a directory named "gate", and leaves the queue to itself.
class GateWatcherTest : public WatcherTest {
 protected:
  GateWatcherTest()
      : WatcherTest({0, [this](int descriptor) {
                       if (fs::read_symlink("/proc/self/fd/" + std::to_string(descriptor)).filename() ==
                           "gate") {
                         reached_.release();
                         open_.acquire();
                       }
                       return file_system_kind(descriptor);
                     }}) {}

  std::binary_semaphore reached_{0};
  std::binary_semaphore open_{0};
};

TEST_F(GateWatcherTest, AQueueThatOverflowsLosesNothing) {
  const std::size_t queue = queue_limit();
  if (queue == 0 || queue > 100'000) GTEST_SKIP() << "max_queued_events is " << queue;
  const auto root = scratch_ / "r";
  const auto file = scratch_.write("r/x.py", "x");
  const auto moved = scratch_.write("r/a/b/y.py", "x");
  watch_root(root);
  hold(file);
  hold(root + "/z/b/y.py");
  Tick tick = hold(moved);
  watcher_.take_changes();
  fs::create_directory(root + "/gate");
  reached_.acquire();
  tick = watcher_.drain();
  ASSERT_TRUE(proved(file, tick));
  // Two names in turn: the kernel merges an event with an equal one before it.
  const UniqueFd one{::open((root + "/1").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
  const UniqueFd two{::open((root + "/2").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
  for (std::size_t i = 0; i < queue; ++i) ASSERT_EQ(::write((i % 2 == 0 ? one : two).get(), "x", 1), 1);
  append(file);
  fs::rename(root + "/a", root + "/z");
  scratch_.write("r/new/c/n.py", "x");
  EXPECT_FALSE(proved(file, tick));
  EXPECT_FALSE(proved(moved, tick));
  EXPECT_EQ(watcher_.describe().epoch, 2U);
  EXPECT_EQ(report().state, RootState::crawling);
  open_.release(1);
  // The gate is looked at again.
  reached_.acquire();
  open_.release();
  const Tick after = settle();
  EXPECT_FALSE(tree_proved(root, tick));
  EXPECT_FALSE(proved(root + "/z/b/y.py", tick));
  EXPECT_TRUE(proved(file, after));
  EXPECT_TRUE(proved(moved, after));
  EXPECT_TRUE(proved(root + "/z/b/y.py", after));
  const Changes changes = watcher_.take_changes();
  for (const char* name : {"/x.py", "/a/b/y.py", "/z/b/y.py", "/new/c/n.py"}) {
    EXPECT_TRUE(leads_to(changes, root + name)) << name;
  }
  append(root + "/z/b/y.py");
  EXPECT_FALSE(proved(root + "/z/b/y.py", after));
}

// A daemon that is stopped, as by a debugger or a laptop's lid, while a large tree is checked out.
class StoppedWatcherTest : public testing::Test {
 protected:
  static constexpr std::size_t kDirectories = 100;

  StoppedWatcherTest() : file_count_(queue_limit() + 4'000) {}

  std::string file(std::size_t number) const {
    return root_ + "/" + std::to_string(number % kDirectories) + "/" + std::to_string(number) + ".py";
  }

  // In the child, which says when it is ready, and is told when to look.
  void watch() {
    Watcher watcher;
    watcher.add_root(root_);
    watcher.add_file(file(0));
    watcher.add_file(untouched_);
    const Tick before = settle(watcher);
    watcher.take_changes();
    ASSERT_TRUE(watcher.unchanged_since(file(0), before));
    ASSERT_TRUE(watcher.tree_unchanged_since(root_, before));
    char byte = 0;
    ASSERT_EQ(::write(child_end_.get(), &byte, 1), 1);
    ASSERT_EQ(::read(child_end_.get(), &byte, 1), 1);
    watcher.drain();
    EXPECT_FALSE(watcher.unchanged_since(file(0), before));
    EXPECT_FALSE(watcher.unchanged_since(untouched_, before)) << "nobody knows";
    EXPECT_FALSE(watcher.tree_unchanged_since(root_, before));
    const Tick after = settle(watcher);
    EXPECT_EQ(watcher.describe().epoch, 2U);
    const Changes changes = watcher.take_changes();
    for (std::size_t i = 0; i < file_count_; ++i) ASSERT_TRUE(leads_to(changes, file(i))) << file(i);
    EXPECT_TRUE(leads_to(changes, root_ + "/new/deep/x.py"));
    EXPECT_FALSE(watcher.unchanged_since(file(0), before));
    EXPECT_TRUE(watcher.unchanged_since(file(0), after));
    EXPECT_TRUE(watcher.tree_unchanged_since(root_, after));
    for (const auto& path : {file(0), file(1), root_ + "/new/deep/x.py", root_ + "/moved/1.py"}) {
      const Tick tick = settle(watcher);
      ASSERT_TRUE(watcher.tree_unchanged_since(root_, tick));
      append(path);
      watcher.drain();
      EXPECT_FALSE(watcher.tree_unchanged_since(root_, tick)) << path;
    }
  }

  Scratch scratch_;
  const std::string root_ = scratch_ / "r";
  const std::string untouched_ = scratch_.write("r/untouched.py", "");
  const std::size_t file_count_;
  UniqueFd child_end_;
};

TEST_F(StoppedWatcherTest, AProcessThatWasStoppedKnowsThatItMissedChanges) {
  if (file_count_ > 100'000) GTEST_SKIP() << "max_queued_events is " << queue_limit();
  for (std::size_t i = 0; i < kDirectories; ++i) fs::create_directory(directory_of(file(i)));
  for (std::size_t i = 0; i < file_count_; ++i) append(file(i));
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd own_end{ends[0]};
  child_end_.reset(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    own_end.reset();
    watch();
    std::fflush(stdout);
    ::_exit(HasFailure() ? 1 : 0);
  }
  child_end_.reset();
  char byte = 0;
  ASSERT_EQ(::read(own_end.get(), &byte, 1), 1);
  int status = 0;
  ASSERT_EQ(::kill(child, SIGSTOP), 0);
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  for (std::size_t i = 0; i < file_count_; ++i) append(file(i));
  fs::rename(root_ + "/1", root_ + "/moved");
  fs::create_directory(root_ + "/1");
  for (std::size_t i = 1; i < file_count_; i += kDirectories) append(file(i));
  scratch_.write("r/new/deep/x.py", "");
  ASSERT_EQ(::kill(child, SIGCONT), 0);
  ASSERT_EQ(::write(own_end.get(), &byte, 1), 1);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

// However long a crawl takes, nobody waits for it.
TEST_F(GateWatcherTest, ACrawlKeepsNobodyWaiting) {
  const auto file = scratch_.write("held/x.py", "x");
  fs::create_directories(scratch_ / "r/gate");
  const Tick tick = hold(file);
  watcher_.add_root(scratch_ / "r");
  reached_.acquire();
  EXPECT_TRUE(proved(file, tick));
  EXPECT_FALSE(tree_proved(scratch_ / "r", watcher_.drain()));
  append(file);
  EXPECT_FALSE(proved(file, tick));
  open_.release();
  EXPECT_TRUE(tree_proved(scratch_ / "r", settle()));
}

TEST_F(WatcherTest, StormsAreCoalesced) {
  const auto root = scratch_ / "r";
  fs::create_directory(root);
  watch_root(root);
  watcher_.take_changes();
  for (int i = 0; i < 20'000; ++i)
    scratch_.write("r/" + std::to_string(i % 100) + "/" + std::to_string(i), "");
  settle();
  const Changes changes = watcher_.take_changes();
  EXPECT_LE(changes.files.size() + changes.directories.size() + changes.trees.size(), 300U);
  for (int i = 0; i < 20'000; i += 999) {
    EXPECT_TRUE(leads_to(changes, root + "/" + std::to_string(i % 100) + "/" + std::to_string(i)));
  }
}

TEST_F(WatcherTest, TellsWhenThereAreChanges) {
  const auto file = scratch_.write("r/x.py", "x");
  watch_root(scratch_ / "r");
  watcher_.take_changes();
  pollfd poll{watcher_.changes_fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&poll, 1, 0), 0);
  append(file);
  // Nobody drains: the thread reads the queue by itself.
  ASSERT_EQ(::poll(&poll, 1, std::chrono::milliseconds(kPatience).count()), 1);
  EXPECT_THAT(watcher_.take_changes().files, ElementsAre(file));
}

// Mounting takes root's rights in this mount namespace.
TEST_F(WatcherTest, AMountOnTopIsSeen) {
  const auto root = scratch_ / "r";
  const auto file = scratch_.write("r/a/b/x.py", "x");
  watch_root(root);
  hold(file);
  const auto mount_on = [&](const std::string& path) {
    return ::mount("none", path.c_str(), "tmpfs", 0, nullptr) == 0;
  };
  for (const auto& path : {root + "/a/b", root, scratch_ / "r/a"}) {
    const Tick tick = settle();
    ASSERT_TRUE(proved(file, tick));
    if (!mount_on(path)) GTEST_SKIP() << "may not mount";
    EXPECT_FALSE(proved(file, tick)) << path;
    EXPECT_FALSE(tree_proved(root, tick)) << path;
    const Tick covered = settle();
    ASSERT_EQ(::umount(path.c_str()), 0);
    EXPECT_FALSE(tree_proved(root, covered)) << path;
    expect_heard(file, root, [&] { append(file); });
  }
}

// Nobody asks, and nothing is looked at for its own sake.
class PatientWatcherTest : public WatcherTest {
 protected:
  PatientWatcherTest() : WatcherTest({.look_at_tops = std::chrono::hours(1)}) {}

  // Waits for hints until they lead to PATH, without asking.
  bool is_told_of(const std::string& path) {
    pollfd polled{watcher_.changes_fd(), POLLIN, 0};
    while (::poll(&polled, 1, 10'000) > 0) {
      if (leads_to(watcher_.take_changes(), path)) return true;
    }
    return false;
  }

  bool await_state(RootState state) {
    pollfd polled{watcher_.changes_fd(), POLLIN, 0};
    while (report().state != state && ::poll(&polled, 1, 10'000) > 0) watcher_.take_changes();
    return report().state == state;
  }
};

TEST_F(PatientWatcherTest, HearsAtOnceThatARootIsMadeAnew) {
  const auto root = scratch_ / "above/r";
  scratch_.write("above/r/x.py", "x");
  watch_root(root);
  for (const auto& gone : {root, scratch_ / "above"}) {
    fs::remove_all(gone);
    ASSERT_TRUE(await_state(RootState::missing));
    ASSERT_TRUE(watcher_.wait_until_settled(kPatience));
    watcher_.take_changes();
    const auto file = scratch_.write("above/r/x.py", "x");
    EXPECT_TRUE(is_told_of(file)) << gone;
    EXPECT_TRUE(await_state(RootState::watching)) << gone;
    append(file);
    EXPECT_TRUE(is_told_of(file)) << gone;
  }
}

TEST_F(PatientWatcherTest, HearsThatARootComesByRename) {
  scratch_.write("next/x.py", "x");
  watch_root(scratch_ / "r");
  ASSERT_TRUE(await_state(RootState::missing));
  fs::rename(scratch_ / "next", scratch_ / "r");
  EXPECT_TRUE(is_told_of(scratch_ / "r/x.py"));
}

class LimitedWatcherTest : public WatcherTest {
 protected:
  LimitedWatcherTest() : WatcherTest({.watch_limit = 10}) {}
};

TEST_F(LimitedWatcherTest, ARootWithoutRoomIsByStatAsAWhole) {
  const auto held = scratch_.write("held/x.py", "x");
  for (int i = 0; i < 5; ++i) fs::create_directories(scratch_ / ("small/" + std::to_string(i)));
  for (int i = 0; i < 50; ++i) fs::create_directories(scratch_ / ("large/" + std::to_string(i)));
  hold(held);
  watch_root(scratch_ / "large");
  const auto large = report();
  EXPECT_EQ(large.state, RootState::by_stat);
  EXPECT_EQ(large.reason, "no watch is left: watch.limit grants 10");
  EXPECT_THAT(large.hint, HasSubstr("KILN_WATCH_LIMIT="));
  const Tick tick = watch_root(scratch_ / "small");
  EXPECT_EQ(watcher_.describe().watches, 8U) << "what the large one had is free again";
  EXPECT_EQ(report(1).state, RootState::watching);
  EXPECT_TRUE(proved(held, tick));
  EXPECT_TRUE(tree_proved(scratch_ / "small", tick));
  EXPECT_FALSE(tree_proved(scratch_ / "large", tick));
  EXPECT_FALSE(proved(scratch_ / "large", tick));
}

TEST_F(LimitedWatcherTest, TheLimitMayBecomeAnother) {
  const auto held = scratch_.write("held/x.py", "x");
  for (int i = 0; i < 6; ++i) {
    fs::create_directories(scratch_ / ("one/" + std::to_string(i)));
    fs::create_directories(scratch_ / ("two/" + std::to_string(i)));
  }
  hold(held);
  watch_root(scratch_ / "one");
  watch_root(scratch_ / "two");
  EXPECT_EQ(report(1).state, RootState::by_stat);
  watcher_.set_watch_limit(16);
  Tick tick = settle();
  EXPECT_EQ(report(0).state, RootState::watching);
  EXPECT_EQ(report(1).state, RootState::watching);
  EXPECT_TRUE(tree_proved(scratch_ / "two", tick));
  watcher_.set_watch_limit(9);
  tick = settle();
  EXPECT_EQ(report(0).state, RootState::watching);
  EXPECT_EQ(report(1).state, RootState::by_stat);
  EXPECT_TRUE(proved(held, tick));
  watcher_.set_watch_limit(1);
  settle();
  EXPECT_EQ(report(0).state, RootState::by_stat);
  EXPECT_LE(watcher_.describe().watches, 1U);
}

TEST_F(LimitedWatcherTest, GrowsAgainWhenThereIsRoom) {
  for (int i = 0; i < 6; ++i) {
    fs::create_directories(scratch_ / ("one/" + std::to_string(i)));
    fs::create_directories(scratch_ / ("two/" + std::to_string(i)));
  }
  watch_root(scratch_ / "one");
  watch_root(scratch_ / "two");
  EXPECT_EQ(report(0).state, RootState::watching);
  EXPECT_EQ(report(1).state, RootState::by_stat);
  watcher_.remove_root(scratch_ / "one");
  const Tick tick = settle();
  EXPECT_EQ(report(0).state, RootState::watching);
  EXPECT_TRUE(tree_proved(scratch_ / "two", tick));
}

TEST_F(LimitedWatcherTest, ADirectoryThatGrowsBeyondTheLimitTakesItsRootAlong) {
  const auto root = scratch_ / "r";
  fs::create_directory(root);
  const Tick tick = watch_root(root);
  for (int i = 0; i < 50; ++i) fs::create_directory(root + "/" + std::to_string(i));
  settle();
  EXPECT_EQ(report().state, RootState::by_stat);
  EXPECT_FALSE(tree_proved(root, tick));
  EXPECT_EQ(watcher_.describe().watches, 0U);
}

// Other file systems by a fake: whatever lies below a directory named "net".
class UntrustedWatcherTest : public WatcherTest {
 protected:
  UntrustedWatcherTest() : WatcherTest({0, kind}) {}

  static FileSystemKind kind(int descriptor) {
    const auto path = fs::read_symlink("/proc/self/fd/" + std::to_string(descriptor)).string();
    if (path.find("/net") != std::string::npos) return {.name = "nfs"};
    return file_system_kind(descriptor);
  }
};

TEST_F(UntrustedWatcherTest, IsByStatAndSaysWhy) {
  const auto root = scratch_ / "net";
  const auto file = scratch_.write("net/a/x.py", "x");
  watch_root(root);
  const Tick tick = hold(file);
  EXPECT_EQ(report().state, RootState::by_stat);
  EXPECT_THAT(report().reason, HasSubstr("nfs"));
  EXPECT_FALSE(proved(file, tick));
  EXPECT_FALSE(tree_proved(root, tick));
  EXPECT_EQ(watcher_.describe().watches, 0U);
}

TEST_F(UntrustedWatcherTest, OnePartOfATreeKeepsTheWholeFromBeingProved) {
  const auto file = scratch_.write("r/a/x.py", "x");
  scratch_.write("r/net/x.py", "x");
  watch_root(scratch_ / "r");
  const Tick tick = hold(file);
  EXPECT_TRUE(proved(file, tick));
  EXPECT_TRUE(tree_proved(scratch_ / "r/a", tick));
  EXPECT_FALSE(tree_proved(scratch_ / "r", tick));
  EXPECT_THAT(report().unwatched, ElementsAre(HasSubstr("/r/net: nfs")));
}

// A stat cannot tell a symlink that leads nowhere from nothing, and nobody hears of it here.
TEST_F(UntrustedWatcherTest, AHeldFileIsNotProvedByADirectoryOfThatNameThatIsMissing) {
  fs::create_directory(scratch_ / "net");
  const auto path = scratch_ / "net/a";
  hold(path);
  const Tick tick = hold(path + "/x.py");
  EXPECT_FALSE(proved(path, tick));
  EXPECT_TRUE(proved(path + "/x.py", tick));
  fs::create_symlink("nowhere", path);
  EXPECT_FALSE(proved(path, tick));
  EXPECT_TRUE(proved(path + "/x.py", tick));
}

// Root reads everything, so a child process that is somebody else looks.
// Instances and watches of inotify are counted for each user, and tests run side by side: each is somebody
// else.
uid_t user_of_this_test_alone() {
  constexpr uid_t kBeyondAnyAccount = 1U << 24;
  return kBeyondAnyAccount + static_cast<uid_t>(::getpid());
}

TEST(UnreadableDirectory, IsShownAndWatchedWhenItCanBe) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const Scratch scratch;
  scratch.write("r/closed/deep/x.py", "x");
  const auto root = scratch / "r";
  const auto closed = root + "/closed";
  const uid_t user = user_of_this_test_alone();
  ASSERT_TRUE(
      shell("chown -R " + std::to_string(user) + " '" + scratch.path() + "' && chmod 0 '" + closed + "'"));
  const auto look = [&] {
    if (::setuid(user) != 0) return 1;
    Watcher watcher;
    const auto settle = [&] {
      const Tick tick = watcher.drain();
      return watcher.wait_until_settled(kPatience) ? std::max(tick, watcher.drain()) : 0;
    };
    watcher.add_root(root);
    if (watcher.tree_unchanged_since(root, settle())) return 2;
    const auto report = watcher.describe().roots.at(0);
    if (report.state != RootState::watching || report.unwatched.size() != 1) return 3;
    if (report.unwatched[0] != closed + ": cannot be read: Permission denied") return 4;
    ::chmod(closed.c_str(), 0700);
    if (!watcher.tree_unchanged_since(root, settle())) return 5;
    if (watcher.describe().directories != 3) return 6;
    ::chmod(closed.c_str(), 0600);  // it can be listed, but not entered
    Watcher another;
    another.add_root(root);
    if (!another.wait_until_settled(kPatience)) return 7;
    if (another.tree_unchanged_since(root, another.drain())) return 8;
    const auto closed_now = another.describe().roots.at(0).unwatched;
    if (closed_now != std::vector{closed + ": cannot be read: Permission denied"}) return 9;
    settle();  // the first has watched it before
    if (watcher.describe().roots.at(0).unwatched != closed_now) return 10;
    ::chmod(closed.c_str(), 0700);
    if (!watcher.tree_unchanged_since(root, settle())) return 11;
    if (!watcher.describe().roots.at(0).unwatched.empty()) return 12;
    return 0;
  };
  const pid_t child = ::fork();
  if (child == 0) ::_exit(look());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

TEST(WatcherWithoutInotify, IsByStatAndSaysWhatHelps) {
  // A child that is somebody else takes all instances.
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const Scratch scratch;
  ASSERT_EQ(::chmod(scratch.path().c_str(), 0755), 0);
  const uid_t user = user_of_this_test_alone();
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(user) != 0) ::_exit(1);
    std::vector<Inotify> taken(1);
    while (taken.back()) taken.emplace_back();
    Watcher watcher;
    watcher.add_root(scratch.path());
    const Tick tick = watcher.drain();
    if (!watcher.wait_until_settled(kPatience)) ::_exit(2);
    const auto report = watcher.describe().roots.at(0);
    if (report.state != RootState::by_stat) ::_exit(3);
    if (report.hint != "sudo sysctl fs.inotify.max_user_instances=1024") ::_exit(4);
    ::_exit(watcher.tree_unchanged_since(scratch.path(), tick) ? 5 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

}  // namespace
}  // namespace kiln
