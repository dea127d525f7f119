#include "daemon/pyc_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "common/unique_fd.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

mode_t mode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

std::ptrdiff_t count_files(const std::string& dir) {
  using Iterator = std::filesystem::directory_iterator;
  return std::distance(Iterator(dir), Iterator());
}

TEST(PycFile, HasTheModesOfImportlib) {
  const Scratch scratch;
  const auto write = [&](const char* name, mode_t source, mode_t umask) {
    EXPECT_TRUE(write_pyc(scratch / name, "h", "b", source, umask));
    return mode_of(scratch / name);
  };
  EXPECT_EQ(write("d/1", 0100644, 0022), 0644U);
  EXPECT_EQ(write("d/2", 0100755, 0022), 0644U);
  EXPECT_EQ(write("d/3", 0100444, 0022), 0644U);
  EXPECT_EQ(write("d/4", 0100666, 0002), 0664U);
  EXPECT_EQ(write("d/5", 0100600, 0022), 0600U);
  EXPECT_EQ(write("e/f/6", 0100666, 0000), 0666U);
  EXPECT_EQ(mode_of(scratch / "d"), 0755U);
  EXPECT_EQ(mode_of(scratch / "e"), 0777U);
  EXPECT_EQ(mode_of(scratch / "e/f"), 0777U);
}

// Who has moved a tree away, or removed it, does not want it back.
TEST(PycFile, WhereTheSourcesDirectoryIsGoneNothingIsMade) {
  const Scratch scratch;
  EXPECT_FALSE(write_pyc(scratch / "gone/__pycache__/a.cpython-311.pyc", "h", "b", 0644, 0022));
  EXPECT_EQ(count_files(scratch.path()), 0);
  EXPECT_TRUE(write_pyc(scratch / "__pycache__/a.cpython-311.pyc", "h", "b", 0644, 0022));
}

TEST(PycFile, TheDaemonsOwnUmaskDoesNotCount) {
  const Scratch scratch;
  const mode_t before = ::umask(0077);
  EXPECT_TRUE(write_pyc(scratch / "d/a", "h", "b", 0644, 0022));
  ::umask(before);
  EXPECT_EQ(mode_of(scratch / "d/a"), 0644U);
  EXPECT_EQ(mode_of(scratch / "d"), 0755U);
}

TEST(PycFile, ReplacesTheOldOneAndLeavesNothingElse) {
  const Scratch scratch;
  scratch.write("d/a", "old");
  const auto stamp = write_pyc(scratch / "d/a", "head", "body", 0644, 0022);
  ASSERT_TRUE(stamp);
  EXPECT_EQ(stamp->size, 8U);
  EXPECT_EQ(read_file(scratch / "d/a"), "headbody");
  EXPECT_EQ(count_files(scratch / "d"), 1);
}

std::uint64_t inode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_ino;
}

TEST(PycFile, AWrongTimeIsWrittenOverInItsPlace) {
  const Scratch scratch;
  const auto path = scratch.write("a", "magcflagTIMEsizebody");
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  const auto inode = inode_of(path);
  const auto stamp = write_pyc(path, "magcflagtimesize", "body", 0644, 0022);
  ASSERT_TRUE(stamp);
  EXPECT_EQ(stamp->size, 20U);
  EXPECT_EQ(read_file(path), "magcflagtimesizebody");
  EXPECT_EQ(inode_of(path), inode);
}

TEST(PycFile, NothingElseIsWrittenOver) {
  const Scratch scratch;
  struct Row {
    const char* what;
    const char* present;
    mode_t mode;
    bool linked;
  };
  const Row rows[] = {{"body", "magcflagTIMEsizeBody", 0644, false},
                      {"two words", "magcflagTIMESIZEbody", 0644, false},
                      {"across words", "magcflaGTimesizebody", 0644, false},
                      {"longer", "magcflagTIMEsizebodyy", 0644, false},
                      {"shorter", "magcflagTIMEsizebod", 0644, false},
                      {"mode", "magcflagTIMEsizebody", 0600, false},
                      {"two names", "magcflagTIMEsizebody", 0644, true}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    const auto path = scratch.write("a", row.present);
    const auto other = scratch / "b";
    ASSERT_EQ(::chmod(path.c_str(), row.mode), 0);
    if (row.linked) std::filesystem::create_hard_link(path, other);
    const UniqueFd kept{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};  // so that its inode is not used again
    const auto inode = inode_of(path);
    ASSERT_TRUE(write_pyc(path, "magcflagtimesize", "body", 0644, 0022));
    EXPECT_EQ(read_file(path), "magcflagtimesizebody");
    EXPECT_EQ(mode_of(path), 0644U);
    EXPECT_NE(inode_of(path), inode);
    EXPECT_TRUE(!row.linked || read_file(other) == row.present);
    std::filesystem::remove(path);
  }
}

TEST(PycFile, RefusesWhatPyCompileRefuses) {
  const Scratch scratch;
  const auto target = scratch.write("target", "precious");
  std::filesystem::create_symlink(target, scratch / "link");
  std::filesystem::create_directory(scratch / "dir");
  EXPECT_EQ(write_pyc(scratch / "link", "h", "b", 0644, 0022).error().type, "FileExistsError");
  EXPECT_EQ(write_pyc(scratch / "dir", "h", "b", 0644, 0022).error().type, "FileExistsError");
  EXPECT_EQ(read_file(target), "precious");
}

TEST(PycFile, AnUnwritablePlaceIsAnError) {
  const Scratch scratch;
  scratch.write("file", "");
  EXPECT_EQ(write_pyc(scratch / "file/a", "h", "b", 0644, 0022).error().type, "NotADirectoryError");
  EXPECT_EQ(write_pyc("/proc/nothing/a", "h", "b", 0644, 0022).error().type, "FileNotFoundError");
}

}  // namespace
}  // namespace kiln
