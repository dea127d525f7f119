// Which directory is recommended where one cannot be used.
#include "common/place.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "tests/unit/scratch.h"

namespace kiln {
namespace {

TEST(Place, CanBeUsed) {
  const Scratch scratch;
  EXPECT_TRUE(can_be_used(scratch.path()));
  EXPECT_TRUE(can_be_used(scratch / "not/there/yet"));
  EXPECT_FALSE(can_be_used(scratch.path(), ~std::uint64_t{0})) << "no disk has so much room";
  const std::string file = scratch.write("file", "");
  EXPECT_FALSE(can_be_used(file));
  EXPECT_FALSE(can_be_used(file + "/below"));
  EXPECT_FALSE(can_be_used("/proc/kiln"));
  std::filesystem::create_directory_symlink(scratch.path(), scratch / "link");
  EXPECT_FALSE(can_be_used(scratch / "link"));
  std::filesystem::create_directory(scratch / "open");
  ASSERT_EQ(::chmod((scratch / "open").c_str(), 0777), 0);
  EXPECT_FALSE(can_be_used(scratch / "open"));
}

TEST(Place, WhatIsInTheWayOfAFile) {
  const Scratch scratch;
  const std::string path = scratch / "a b";
  EXPECT_EQ(make_way_for(path, EISDIR, "KILN_CACHE_DIR"), "mv '" + path + "' '" + path + ".old'");
  EXPECT_EQ(make_way_for(scratch / "none/lock", EACCES, "KILN_CACHE_DIR"),
            "chmod u+rwx " + (scratch / "none"));
  EXPECT_NE(make_way_for(path, EROFS, "KILN_CACHE_DIR").find("KILN_CACHE_DIR"), std::string::npos);
}

}  // namespace
}  // namespace kiln
