#include "daemon/pyc_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

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
