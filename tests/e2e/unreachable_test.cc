// What may not be looked at, by whom permissions hold for: it is not called gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <filesystem>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Root is refused nothing, until it has lost that for good, and all that it starts with it.
void be_refused_as_others_are() {
  if (::geteuid() != 0) return;
  for (const int right : {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH}) {
    if (::prctl(PR_CAPBSET_DROP, right) != 0) ::_exit(126);
  }
}

// With a daemon of its own, which is refused the same.
class Unreachable : public testing::Test {
 protected:
  void SetUp() override {
    reset_work_dir();
    fs::create_directory(directory());
    write_file(source(), "VALUE = 1\n");
  }
  void TearDown() override {
    for (const auto& path : {directory(), cache()}) {
      if (fs::exists(path)) fs::permissions(path, fs::perms::owner_all);
    }
  }

  static std::string directory() { return work_dir() + "/d"; }
  static std::string source() { return directory() + "/a.py"; }
  static std::string cache() { return work_dir() + "/cache"; }

  // K is kiln.
  static Outcome sh(const std::string& script) {
    return run({.argv = {"/bin/sh", "-c", script + "\ncode=$?; $K daemon stop > /dev/null 2>&1; exit $code"},
                .environment = environment_with({"K=" + kiln_binary(), "KILN_PYTHON=" + any_python().path,
                                                 "KILN_RUNTIME_DIR=" + work_dir() + "/run",
                                                 "KILN_CACHE_DIR=" + cache()}),
                .in_child = be_refused_as_others_are});
  }
};

TEST_F(Unreachable, ASourceIsNoOrphan) {
  for (const char* mode : {"000", "444"}) {
    const Outcome outcome =
        sh("chmod 700 d; $K precompile -q d; chmod " + std::string(mode) + " d; $K explain d/a.py");
    if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "rights cannot be given up here";
    EXPECT_EQ(outcome.out, "") << mode;
    EXPECT_EQ(outcome.err, "error: " + source() + " cannot be reached: Permission denied\n\nhint: namei -l " +
                               source() + "\n");
    EXPECT_EQ(describe_status(outcome.status), "exit 1");
  }
}

TEST_F(Unreachable, AProgramIsNotMissing) {
  const Outcome outcome = sh("chmod 000 d; $K explain run d/a.py");
  if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "rights cannot be given up here";
  EXPECT_THAT(outcome.out, HasSubstr("(target-unreadable: cannot open d/a.py: Permission denied)"));
}

// 0444 lets its names be read, and nothing more.
TEST_F(Unreachable, ADirectoryThatCannotBeEnteredFails) {
  for (const char* mode : {"000", "444"}) {
    const Outcome outcome = sh("chmod " + std::string(mode) + " d; $K precompile d");
    if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "rights cannot be given up here";
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("d: permission denied\n"), HasSubstr("hint: namei -l d")))
        << mode;
    EXPECT_THAT(outcome.out, HasSubstr("compiled 0, fresh 0, errors 1"));
    EXPECT_EQ(describe_status(outcome.status), "exit 1");
  }
}

TEST_F(Unreachable, ADirectoryIsNotToBeWatched) {
  Outcome outcome = sh("chmod 000 d; $K watch d");
  if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "rights cannot be given up here";
  EXPECT_THAT(outcome.err, HasSubstr("\n\nhint: chmod u+rx " + directory() + "\n"));
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  if (::geteuid() != 0) return;  // nor can a directory be given away
  outcome = sh("chmod 700 d; chown 65534 d; $K watch d");
  EXPECT_THAT(outcome.err, HasSubstr("\n\nhint: namei -l " + directory() + "\n"));
}

TEST_F(Unreachable, AConfigurationIsToBeDoneWithout) {
  const std::string path = directory() + "/kiln.toml";
  const std::string forbidden = "error: cannot read " + path + ": Permission denied\n\nhint: ";
  Outcome outcome = sh("echo > d/kiln.toml; chmod 000 d; KILN_CONFIG=$PWD/d/kiln.toml $K config");
  if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "rights cannot be given up here";
  EXPECT_EQ(outcome.err, forbidden + "unset KILN_CONFIG\n");
  outcome = sh("chmod 700 d; chmod 000 d/kiln.toml; KILN_CONFIG=$PWD/d/kiln.toml $K config");
  EXPECT_EQ(outcome.err, forbidden + "chmod u+r " + path + "\n");
  if (::geteuid() != 0) return;  // nor can a file be given away
  outcome = sh("chmod 600 d/kiln.toml; chown 65534 d/kiln.toml; KILN_CONFIG=$PWD/d/kiln.toml $K config");
  EXPECT_EQ(outcome.err, forbidden + "unset KILN_CONFIG\n");
  outcome = sh("cd d; KILN_CONFIG=/dev/null $K config");
  EXPECT_EQ(outcome.err, forbidden + "namei -l " + path + "\n");
}

TEST_F(Unreachable, TheLogIsNotMissing) {
  const std::string make_log = "mkdir -m 700 cache; echo line > cache/kilnd.log; ";
  for (const std::string options : {"", " --follow"}) {
    Outcome outcome = sh(make_log + "chmod 000 cache; $K daemon logs" + options);
    if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "rights cannot be given up here";
    EXPECT_THAT(outcome.err, AllOf(HasSubstr(cache() + ": Permission denied\n"), HasSubstr("\nhint: chmod "),
                                   Not(HasSubstr("there is no log"))));
    outcome = sh("chmod 700 cache; chmod 000 cache/kilnd.log; $K daemon logs" + options);
    EXPECT_EQ(outcome.err, "error: cannot open " + cache() +
                               "/kilnd.log: Permission denied\n\nhint: chmod u+rw " + cache() +
                               "/kilnd.log\n");
    fs::remove_all(cache());
    outcome = sh("touch cache; $K daemon logs" + options);
    EXPECT_THAT(outcome.err,
                AllOf(HasSubstr(cache()), Not(HasSubstr("there is no log")), HasSubstr("\nhint: ")));
    fs::remove_all(cache());
  }
}

}  // namespace
}  // namespace kiln::e2e
