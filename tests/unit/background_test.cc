#include "daemon/background.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "tests/unit/scratch.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kSomebody = 1;

TEST(Background, OneThreadsPriorityIsLowered) {
  const int own = ::getpriority(PRIO_PROCESS, 0);
  int lowered = 0;
  std::thread([&] {
    enter_background();
    lowered = ::getpriority(PRIO_PROCESS, 0);
  }).join();
  EXPECT_GE(lowered, 10);
  EXPECT_EQ(::getpriority(PRIO_PROCESS, 0), own);
}

TEST(MayWriteUnasked, OthersThanRootMayTry) {
  EXPECT_TRUE(may_write_unasked("/usr/lib/x/__pycache__/y.pyc", kSomebody));
}

class RootMayWrite : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "not root";
    fs::create_directories(scratch_ / "tree/__pycache__");
  }

  bool may(const std::string& name) const { return may_write_unasked(scratch_ / name, 0); }
  void give_away(const std::string& name) const {
    EXPECT_EQ(::chown((scratch_ / name).c_str(), kSomebody, kSomebody), 0);
  }

  const Scratch scratch_;
};

TEST_F(RootMayWrite, IntoItsOwnTree) {
  EXPECT_TRUE(may("tree/__pycache__/a.pyc"));
  EXPECT_TRUE(may("tree/missing/__pycache__/a.pyc"));
}

TEST_F(RootMayWrite, ButNotIntoSomebodysDirectory) {
  give_away("tree/__pycache__");
  EXPECT_FALSE(may("tree/__pycache__/a.pyc"));
  EXPECT_TRUE(may("tree/a.pyc"));
}

TEST_F(RootMayWrite, NorBelowOne) {
  give_away("tree");
  EXPECT_FALSE(may("tree/__pycache__/a.pyc"));
  EXPECT_FALSE(may("tree/missing/__pycache__/a.pyc"));
}

TEST_F(RootMayWrite, NorThroughALinkToOne) {
  fs::create_directories(scratch_ / "theirs");
  give_away("theirs");
  fs::create_symlink(scratch_ / "theirs", scratch_ / "tree/link");
  EXPECT_FALSE(may("tree/link/a.pyc"));
}

TEST_F(RootMayWrite, NorWhereEverybodyMay) {
  ASSERT_EQ(::chmod((scratch_ / "tree").c_str(), 01777), 0);
  EXPECT_FALSE(may("tree/a.pyc"));
  EXPECT_TRUE(may("tree/__pycache__/a.pyc"));
  ASSERT_EQ(::chmod((scratch_ / "tree").c_str(), 0777), 0);
  EXPECT_FALSE(may("tree/__pycache__/a.pyc"));
}

}  // namespace
}  // namespace kiln
