// The parts of the watch engine that make no system call, or one.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/inotify.h>

#include <random>

#include "common/file_system_kind.h"
#include "common/path_text.h"
#include "daemon/watch/changes.h"
#include "daemon/watch/inotify.h"
#include "daemon/watch/mount_table.h"
#include "daemon/watch/sight.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string event(int watch, std::uint32_t mask, const std::string& name, std::uint32_t room) {
  inotify_event header{};
  header.wd = watch;
  header.mask = mask;
  header.len = room;
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += name;
  bytes.resize(sizeof header + room);
  return bytes;
}

TEST(DecodeEvents, TakesNamesOutOfTheirPadding) {
  const std::string bytes = event(1, IN_CREATE, "a.py", 16) + event(2, IN_ATTRIB, "", 0) +
                            event(-1, IN_Q_OVERFLOW, "", 0) + event(3, IN_MODIFY, "\xff\n", 16);
  EXPECT_THAT(decode_events(bytes),
              ElementsAre(InotifyEvent{1, IN_CREATE, "a.py"}, InotifyEvent{2, IN_ATTRIB, ""},
                          InotifyEvent{-1, IN_Q_OVERFLOW, ""}, InotifyEvent{3, IN_MODIFY, "\xff\n"}));
}

TEST(DecodeEvents, LeavesOutWhatIsCutOff) {
  const std::string bytes = event(1, IN_CREATE, "a", 16) + event(2, IN_CREATE, "b", 16);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(decode_events(std::string_view(bytes).substr(0, length)).size(), length / 32);
  }
  inotify_event huge{};
  huge.len = 4'000'000'000;
  EXPECT_THAT(decode_events({reinterpret_cast<const char*>(&huge), sizeof huge}), IsEmpty());
}

TEST(FileSystemKind, TrustsOnlyWhatIsKnownToBeLocal) {
  EXPECT_TRUE(file_system_kind_of(0xEF53).trusted);
  EXPECT_EQ(file_system_kind_of(0x6969).name, "nfs");
  for (const unsigned long magic : {0x6969UL, 0x794C7630UL, 0x65735546UL, 0xFE534D42UL, 0x12345UL}) {
    EXPECT_FALSE(file_system_kind_of(magic).trusted) << magic;
  }
  EXPECT_EQ(file_system_kind_of(0x12345).name, "unknown (0x12345)");
  EXPECT_TRUE(file_system_kind_of(0x9FA0).pseudo) << "proc holds nobody's files";
  const UniqueFd proc{::open("/proc", O_RDONLY | O_CLOEXEC)};
  EXPECT_FALSE(file_system_kind(proc.get()).trusted);
  EXPECT_FALSE(file_system_kind(-1).trusted);
}

TEST(MountTable, KnowsMountPointsByNumber) {
  EXPECT_THAT(parse_mounts("36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw\n"
                           "37 35 98:0 / /c\\134\\0 rw - tmpfs t rw\n\nx"),
              ElementsAre("36 /mnt/a b", "37 /c\\\\0"));
  EXPECT_THAT(MountTable().take_changes(), IsEmpty());
}

TEST(InotifyLimits, TheHintRaisesThem) {
  EXPECT_GT(inotify_limits().watches, 0U);
  EXPECT_EQ(watch_limit_hint(8192), "sudo sysctl fs.inotify.max_user_watches=524288");
  EXPECT_EQ(watch_limit_hint(524288), "sudo sysctl fs.inotify.max_user_watches=1048576");
}

TEST(Sight, ANameIsLookedUpInTheDirectoryThatIsMeant) {
  const Scratch scratch;
  std::filesystem::create_directories(scratch / "r/a");
  const Identity root = path_status(scratch / "r").identity;
  const Visit visit{scratch / "r/a", 1, true, false, root};
  const Look look{scratch / "r", root, {{"x.py", 1, true}}};
  EXPECT_EQ(see_directory(visit, file_system_kind).coverage, Coverage::watched);
  EXPECT_TRUE(open_directory_of(look));
  std::filesystem::rename(scratch / "r", scratch / "q");
  EXPECT_TRUE(see_directory(visit, file_system_kind).astray);
  EXPECT_FALSE(open_directory_of(look));
  std::filesystem::create_directories(scratch / "r/a");
  EXPECT_TRUE(see_directory(visit, file_system_kind).astray);
  EXPECT_FALSE(open_directory_of(look));
}

TEST(PathOrder, WhatLiesBelowIsOneRange) {
  std::map<std::string, int> map{{"/a", 0}, {"/a-b", 0}, {"/a/b", 0}, {"/a/b/c", 0}, {"/a0", 0}, {"/b", 0}};
  const auto below = [&](const std::string& directory) {
    std::vector<std::string> paths;
    const auto [begin, end] = range_below(map, directory);
    for (auto at = begin; at != end; ++at) paths.push_back(at->first);
    return paths;
  };
  EXPECT_THAT(below("/a"), ElementsAre("/a/b", "/a/b/c"));
  EXPECT_THAT(below("/b"), IsEmpty());
  EXPECT_EQ(below("/").size(), map.size());
  for (const auto& [path, unused] : map) EXPECT_EQ(is_below(path, "/a"), path.starts_with("/a/"));
  EXPECT_EQ(directory_of("/a/b"), "/a");
  EXPECT_EQ(directory_of("/a"), "/");
  EXPECT_EQ(name_of("/a/b"), "b");
  EXPECT_EQ(path_in("/", "a"), "/a");
}

TEST(ChangeSet, ATreeStandsForAllBelow) {
  ChangeSet set;
  set.add_file("/r/a", "x.py");
  set.add_file("/r/b", "y.py");
  set.add_file("/r/b", "y.py");
  set.add_directory("/r/a/d");
  set.add_tree("/r/a");
  set.add_file("/r/a/d", "z.py");
  const Changes changes = set.take();
  EXPECT_THAT(changes.trees, ElementsAre("/r/a"));
  EXPECT_THAT(changes.directories, IsEmpty());
  EXPECT_THAT(changes.files, ElementsAre("/r/b/y.py"));
  EXPECT_TRUE(set.empty());
}

TEST(ChangeSet, ManyNamesBecomeTheirDirectory) {
  ChangeSet set(3);
  for (int i = 0; i < 100; ++i) set.add_file("/r", std::to_string(i));
  const Changes changes = set.take();
  EXPECT_THAT(changes.directories, ElementsAre("/r"));
  EXPECT_THAT(changes.files, IsEmpty());
}

// Whatever comes in, it comes out again, itself or as something larger.
TEST(ChangeSet, StaysBoundedAndLosesNothing) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  ChangeSet set(4, 16);
  std::vector<std::string> all;
  for (int i = 0; i < 2000; ++i) {
    std::string directory;
    for (auto depth = random() % 5 + 1; depth > 0; --depth) directory += "/" + std::to_string(random() % 4);
    const std::string name = std::to_string(random() % 9);
    set.add_file(directory, name);
    all.push_back(directory + "/" + name);
  }
  const Changes changes = set.take();
  EXPECT_LE(changes.files.size(), 16U * 4);
  EXPECT_LE(changes.directories.size() + changes.trees.size(), 17U);
  for (const auto& path : all) {
    const bool named =
        std::ranges::count(changes.files, path) > 0 ||
        std::ranges::count(changes.directories, directory_of(path)) > 0 ||
        std::ranges::any_of(changes.trees, [&](const auto& tree) { return is_below(path, tree); });
    EXPECT_TRUE(named) << path;
  }
}

}  // namespace
}  // namespace kiln
