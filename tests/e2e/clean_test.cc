// `kiln clean --all`: the daemon ends, Kiln's cache goes, and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;

class CleanAll : public testing::Test {
 protected:
  void SetUp() override {
    reset_work_dir();
    write_file(work_dir() + "/src/a.py", "x = 1\n");
    kiln({"precompile", "--python", any_python().path, "src"});
    kiln({"daemon", "stop"});  // with that, what was compiled is in the store
    kiln({"daemon", "start"});
  }
  void TearDown() override { kiln({"daemon", "start"}); }
};

TEST_F(CleanAll, EndsTheDaemonAndRemovesTheCache) {
  const pid_t daemon = daemon_pid();
  write_file(cache_dir() + "/overlay/opt/app/m.cpython-311.pyc", std::string(5000, 'x'));
  write_file(cache_dir() + "/overlay/opt/app/.kiln-1-1", "left by a kill");
  const Outcome outcome = kiln({"clean", "--all"});
  EXPECT_TRUE(wait_gone(daemon));
  EXPECT_FALSE(fs::exists(cache_dir()));
  EXPECT_THAT(outcome.out, MatchesRegex("index: +[1-9][0-9]* files?, [0-9.]+ [KM]iB\n"
                                        "store: +[1-9][0-9]* files?, [0-9.]+ KiB\n"
                                        "overlay: +2 files, 1[0-9]\\.0 KiB\n"
                                        "logs: +1 file, [0-9.]+ KiB\n"
                                        "removed [1-9][0-9]* files of " +
                                        cache_dir() + ", [0-9.]+ [KM]iB\n"));
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
  EXPECT_FALSE(fs::is_empty(work_dir() + "/src/__pycache__"))
      << "bytecode beside sources is Python's as well";
  EXPECT_EQ(kiln({"clean", "--all"}).out,
            "index:   0 files, 0 B\nstore:   0 files, 0 B\noverlay: 0 files, 0 B\nlogs:    0 files, 0 B\n"
            "removed 0 files of " +
                cache_dir() + ", 0 B\n");
}

TEST_F(CleanAll, DryRunOnlyTells) {
  const pid_t daemon = daemon_pid();
  const auto before = snapshot(cache_dir() + "/store");
  ASSERT_FALSE(before.empty());
  const Outcome outcome = kiln({"clean", "--all", "--dry-run"});
  EXPECT_THAT(outcome.out, ContainsRegex("\nwould remove [1-9][0-9]* files of " + cache_dir() + ", "));
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
  EXPECT_EQ(daemon_pid(), daemon);
  EXPECT_EQ(snapshot(cache_dir() + "/store"), before);
}

TEST_F(CleanAll, WhatIsNotKilnsStays) {
  write_file(work_dir() + "/mine/precious", "1");
  fs::create_directory_symlink(work_dir() + "/mine", cache_dir() + "/overlay");
  fs::create_directory_symlink(work_dir() + "/mine", cache_dir() + "/store/ab");
  write_file(cache_dir() + "/notes.txt", "2");
  write_file(cache_dir() + "/store/articles/1", "3");
  write_file(cache_dir() + "/store/cd/readme", "4");
  fs::create_directory(cache_dir() + "/empty");
  const Outcome outcome = kiln({"clean", "--all"});
  for (const std::string foreign :
       {"notes.txt", "overlay", "store/ab", "store/articles", "store/cd/readme", "empty"}) {
    EXPECT_THAT(outcome.out, HasSubstr("kept " + cache_dir() + "/" + foreign + ", which is not Kiln's\n"));
    EXPECT_TRUE(fs::exists(cache_dir() + "/" + foreign)) << foreign;
  }
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
  EXPECT_EQ(snapshot(work_dir() + "/mine").size(), 1U);
  EXPECT_EQ(read_file(cache_dir() + "/store/articles/1"), "3");
  EXPECT_FALSE(fs::exists(cache_dir() + "/index.db"));
  fs::remove_all(cache_dir());
}

TEST_F(CleanAll, ADirectoryThatIsNotKilnsIsLeftAlone) {
  write_file(work_dir() + "/other/store/ab/x", "1");
  ::chmod((work_dir() + "/other").c_str(), 0700);
  const Outcome outcome = kiln({"clean", "--all"}, {"KILN_CACHE_DIR=" + work_dir() + "/other"});
  EXPECT_EQ(outcome.err, "error: " + work_dir() +
                             "/other has neither index nor log of Kiln's, and is left alone\n\n" +
                             "hint: ls -A " + work_dir() + "/other\n");
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_EQ(snapshot(work_dir() + "/other/store/ab").size(), 1U);
}

TEST_F(CleanAll, ALinkInThePlaceOfTheCacheIsNotFollowed) {
  fs::create_directory_symlink(cache_dir(), work_dir() + "/link");
  const Outcome outcome = kiln({"clean", "--all"}, {"KILN_CACHE_DIR=" + work_dir() + "/link"});
  EXPECT_THAT(outcome.err,
              MatchesRegex("error: [^\n]+/link is a symbolic link, which Kiln does not follow\n\n"
                           "hint: export KILN_CACHE_DIR=[^\n]+\n"));
  EXPECT_EQ(describe_status(outcome.status), "exit 3");
  EXPECT_TRUE(fs::exists(cache_dir() + "/index.db"));
}

TEST_F(CleanAll, ACacheThatAnotherDaemonUsesStays) {
  const pid_t daemon = daemon_pid();
  const std::string other = work_dir() + "/run";
  fs::create_directory(other);
  ::chmod(other.c_str(), 0700);
  const Outcome outcome = kiln({"clean", "--all"}, {"KILN_RUNTIME_DIR=" + other});
  EXPECT_EQ(outcome.err, "error: " + cache_dir() + " is used by the daemon of " + runtime_dir() + ", pid " +
                             std::to_string(daemon) + "\n\nhint: KILN_RUNTIME_DIR=" + runtime_dir() +
                             " kiln daemon stop\n");
  EXPECT_EQ(describe_status(outcome.status), "exit 3");
  EXPECT_TRUE(fs::exists(cache_dir() + "/index.db"));
}

TEST_F(CleanAll, NoDaemonIsStartedByIt) {
  kiln({"daemon", "stop"});
  EXPECT_EQ(describe_status(kiln({"clean", "--all"}).status), "exit 0");
  EXPECT_EQ(own_processes("kilnd").size(), 0U);
}

TEST_F(CleanAll, WrongUsage) {
  const std::vector<std::vector<std::string>> wrong{
      {"clean", "--all", "--orphans"}, {"clean", "--all", "src"}, {"clean", "--dry-run"}};
  for (const auto& command : wrong) {
    const Outcome outcome = kiln(command);
    EXPECT_THAT(outcome.err, MatchesRegex("error: [^\n]+\n\nhint: kiln clean --help\n"));
    EXPECT_EQ(describe_status(outcome.status), "exit 2");
  }
  EXPECT_TRUE(fs::exists(cache_dir() + "/index.db"));
}

}  // namespace
}  // namespace kiln::e2e
