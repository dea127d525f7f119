// `kiln daemon logs`: the log as it is, and as it grows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

// A log that no daemon writes to.
class DaemonLog : public testing::Test {
 protected:
  void SetUp() override {
    reset_work_dir();
    fs::create_directory(cache_);
  }

  std::string log(int number = 0) const {
    return cache_ + "/kilnd" + (number > 0 ? "." + std::to_string(number) : "") + ".log";
  }
  void add(const std::string& text) const { std::ofstream(log(), std::ios::app) << text; }
  // As spdlog does it.
  void rotate() const {
    std::rename(log(1).c_str(), log(2).c_str());
    std::rename(log().c_str(), log(1).c_str());
    write_file(log(), "");
  }

  Invocation logs(std::vector<std::string> options) const {
    std::vector<std::string> argv{kiln_binary(), "daemon", "logs"};
    argv.insert(argv.end(), options.begin(), options.end());
    return {.argv = argv, .environment = environment_with({"KILN_CACHE_DIR=" + cache_})};
  }
  std::string printed(std::vector<std::string> options) const { return run(logs(std::move(options))).out; }

  const std::string cache_ = work_dir() + "/cache";
};

TEST_F(DaemonLog, IsPrintedFromItsOldestFileOn) {
  write_file(log(2), "1\n");
  write_file(log(1), "2\n3\n");
  write_file(log(), "4\n");
  EXPECT_EQ(printed({}), "1\n2\n3\n4\n");
  EXPECT_EQ(printed({"-n", "3"}), "2\n3\n4\n");
  EXPECT_EQ(printed({"--lines", "1"}), "4\n");
  EXPECT_EQ(printed({"-n", "0"}), "");
  EXPECT_EQ(printed({"-n", "100"}), "1\n2\n3\n4\n");
  write_file(log(), "");
  EXPECT_EQ(printed({"-n", "1"}), "3\n") << "what was just rotated";
}

TEST_F(DaemonLog, AsJsonIsAnObjectALine) {
  write_file(log(1), "2026-11-28 17:38:09.360 42 info first\n");
  write_file(log(), "  goes on\n2026-11-28 17:38:10.000 42 error last\n");
  const std::string last =
      R"({"version":1,"time":"2026-11-28T17:38:10.000","pid":42,"level":"error","message":"last"})"
      "\n";
  EXPECT_EQ(printed({"--json"}),
            R"({"version":1,"time":"2026-11-28T17:38:09.360","pid":42,"level":"info","message":"first"})"
            "\n"
            R"({"version":1,"time":null,"pid":null,"level":null,"message":"  goes on"})"
            "\n" +
                last);
  EXPECT_EQ(printed({"--json", "-n", "1"}), last);
}

TEST_F(DaemonLog, ThatIsNotThereIsSaid) {
  kiln({"daemon", "start"});
  EXPECT_THAT(run(logs({})).err, testing::HasSubstr("error: the daemon that is running keeps its cache in "));
  kiln({"daemon", "stop"});
  for (const std::vector<std::string>& options : {std::vector<std::string>{}, {"--follow"}}) {
    const Outcome outcome = run(logs(options));
    EXPECT_EQ(outcome.err, "error: there is no log at " + log() + "\n\nhint: kiln daemon start\n");
    EXPECT_EQ(describe_status(outcome.status), "exit 1");
  }
  fs::remove(cache_);
  EXPECT_EQ(describe_status(run(logs({"--follow"})).status), "exit 1");
}

TEST_F(DaemonLog, IsFollowedOverRotations) {
  add("before\n");
  Process follower(logs({"--follow", "-n", "1"}));
  ASSERT_TRUE(follower.wait_for_output("before\n"));
  add("a\n");
  ASSERT_TRUE(follower.wait_for_output("a\n"));
  for (int round = 0; round < 20; ++round) {
    const std::string number = std::to_string(round);
    // Two rotations at once: what was followed is two files back then.
    add("one " + number + "\n");
    rotate();
    add("two " + number + "\n");
    rotate();
    add("three " + number + "\n");
    ASSERT_TRUE(follower.wait_for_output("three " + number + "\n")) << follower.output();
  }
  follower.signal(SIGINT);
  const Outcome outcome = follower.finish();
  EXPECT_EQ(describe_status(outcome.status), "signal 2");
  std::string expected = "before\na\n";
  for (int round = 0; round < 20; ++round) {
    for (const char* word : {"one", "two", "three"}) expected += word + (" " + std::to_string(round) + "\n");
  }
  EXPECT_EQ(outcome.out, expected);
}

TEST_F(DaemonLog, IsFollowedUntilNobodyReads) {
  add("x\n");
  Invocation invocation = logs({"--follow"});
  invocation.out = Stream::broken_pipe;
  EXPECT_EQ(describe_status(run(invocation).status), "signal 13");
}

// Every line is on the disk when it is written, at whatever level.
TEST_F(DaemonLog, HasTheLevelOfTheConfigurationAfterASignal) {
  const std::string config = home_dir() + "/kiln.toml";
  kiln({"daemon", "start"});
  Process follower({.argv = {kiln_binary(), "daemon", "logs", "--follow", "-n", "0"}});
  const auto run_something = [] { kiln({"run", "--python", any_python().path, "-c", "pass"}); };
  run_something();
  write_file(config, "log.level = \"debug\"\n");
  kill_process(daemon_pid(), SIGHUP);
  EXPECT_TRUE(follower.wait_for_output(" info SIGHUP\n"));
  EXPECT_EQ(follower.output().find(" debug "), std::string::npos) << follower.output();
  EXPECT_TRUE(await([] { return daemon_pid() > 0; }));  // an answer that comes after the signal
  run_something();
  EXPECT_TRUE(follower.wait_for_output(" debug a run at " + work_dir() + ": ")) << follower.output();
  fs::remove(config);
  kill_process(daemon_pid(), SIGHUP);
  EXPECT_TRUE(follower.wait_for_output(" info SIGHUP\n"));
  follower.signal(SIGTERM);
  follower.finish();
}

}  // namespace
}  // namespace kiln::e2e
