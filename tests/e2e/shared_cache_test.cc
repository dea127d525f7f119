// Several runtime directories, as of a session and of cron(8), whose daemons share one cache.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "common/unique_fd.h"
#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class SharedCache : public testing::Test {
 protected:
  void SetUp() override {
    reset_work_dir();
    kiln({"daemon", "stop"});
  }
  void TearDown() override {
    for (const auto& side : {session_, cron_}) kiln({"daemon", "stop"}, side);
  }

  static std::unique_ptr<Process> begin(std::vector<std::string> arguments,
                                        const std::vector<std::string>& side) {
    arguments.insert(arguments.begin(), kiln_binary());
    return std::make_unique<Process>(
        Invocation{.argv = std::move(arguments), .environment = environment_with(side)});
  }

  static std::string socket_seen_by(const std::vector<std::string>& side) {
    const std::string status = kiln({"status"}, side).out;
    const std::size_t at = status.find("\n  socket ");
    return status.substr(at, status.find('\n', at + 1) - at);
  }

  const std::vector<std::string> session_{"KILN_RUNTIME_DIR", "XDG_RUNTIME_DIR=" + work_dir() + "/session"};
  const std::vector<std::string> cron_{"KILN_RUNTIME_DIR", "XDG_RUNTIME_DIR=" + work_dir() + "/cron"};
};

TEST_F(SharedCache, OfManyStartsAtOnceOneDaemonRemains) {
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<Process>> clients;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(begin({"daemon", "start"}, session_));
      clients.push_back(begin({"daemon", "start"}, cron_));
    }
    for (auto& client : clients) {
      const Outcome outcome = client->finish();
      EXPECT_EQ(outcome.out + outcome.err, "the daemon runs\n");
    }
    EXPECT_EQ(socket_seen_by(session_), socket_seen_by(cron_)) << "in round " << round;
    for (const auto& side : {session_, cron_}) EXPECT_EQ(kiln({"status"}, side).err, "");
    for (const auto& side : {session_, cron_}) kiln({"daemon", "stop"}, side);
    fs::remove_all(cache_dir());
  }
}

// A session's directory goes with it, and so does its daemon, before long.
TEST_F(SharedCache, WhoComesWhileTheKeeperEndsWaitsForTheIndex) {
  kiln({"daemon", "start"}, session_);
  fs::remove_all(work_dir() + "/session");
  EXPECT_EQ(kiln({"daemon", "start"}, cron_).out, "the daemon runs\n");
  EXPECT_EQ(kiln({"status"}, cron_).err, "") << "it keeps the index";
}

TEST_F(SharedCache, AnExecutedRunCountsWhoeverServesIt) {
  kiln({"daemon", "start"}, session_);
  kiln({"stats", "--reset"}, session_);
  kiln({"run", "--python", any_python().path, "-X", "dev", "-c", "pass"}, cron_);
  EXPECT_THAT(kiln({"stats", "--json"}, cron_).out, HasSubstr("\"executed_by_reason\":{\"option\":1}"));
}

// As in a container that shares the home: the keeper would serve nothing there.
TEST_F(SharedCache, WhoSeesOtherFilesIsNotSentToTheKeeper) {
  kiln({"daemon", "start"}, session_);
  Invocation elsewhere{.argv = {"/bin/sh", "-c", "$0 daemon start; $0 status", kiln_binary()},
                       .environment = environment_with(cron_)};
  elsewhere.in_child = [] {
    if (::unshare(CLONE_NEWNS) != 0) ::_exit(126);
  };
  const Outcome outcome = run(elsewhere);
  if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "no namespace can be made here";
  EXPECT_THAT(outcome.err, HasSubstr("/session/kiln, pid "));
  EXPECT_THAT(outcome.err, HasSubstr("hint: unset KILN_CACHE_DIR\n"));
}

// What it does not know, the keeper may know.
TEST_F(SharedCache, WhatASecondDaemonListsAndExplainsIsMarked) {
  write_file(work_dir() + "/a.py", "x = 1\n");
  const std::vector<std::string> second{"KILN_RUNTIME_DIR=" + work_dir() + "/second"};
  kiln({"daemon", "start"}, session_);
  kiln({"precompile", "--force", "a.py"}, second);
  const std::string note = "note: the daemon of " + work_dir() + "/session/kiln, pid ";
  for (const auto& command : {std::vector<std::string>{"list"}, {"explain", "a.py"}, {"explain", "b.py"}}) {
    const std::string err = kiln(command, second).err;
    EXPECT_THAT(err, StartsWith(note)) << testing::PrintToString(command);
    EXPECT_THAT(err, HasSubstr("; this one has an index of its own, which is forgotten when it ends\n"));
    EXPECT_THAT(kiln(command, session_).err, Not(HasSubstr("note: "))) << testing::PrintToString(command);
  }
  for (const auto& command : {std::vector<std::string>{"list", "--json"}, {"explain", "--json", "a.py"}}) {
    const Outcome outcome = kiln(command, second);
    EXPECT_THAT(outcome.out, HasSubstr("\"own_index\":true")) << testing::PrintToString(command);
    EXPECT_EQ(outcome.err, "");
    EXPECT_THAT(kiln(command, session_).out, Not(HasSubstr("own_index"))) << testing::PrintToString(command);
  }
  kiln({"daemon", "stop"}, second);
}

// Not so one that watches for somebody, or is run by hand.
TEST_F(SharedCache, WhenTheKeeperHasEndedAnIdleDaemonMakesWayForTheNext) {
  const std::vector<std::string> second{"KILN_RUNTIME_DIR=" + work_dir() + "/second"};
  const std::vector<std::string> watching{"KILN_RUNTIME_DIR=" + work_dir() + "/watching"};
  const std::vector<std::string> by_hand{"KILN_RUNTIME_DIR=" + work_dir() + "/by_hand"};
  kiln({"daemon", "start"}, session_);
  const auto foreground = begin({"daemon", "run"}, by_hand);
  kiln({"watch", work_dir()}, watching);
  kiln({"daemon", "start"}, second);
  const auto pid_of = [](const std::vector<std::string>& side) {
    const std::string status = kiln({"status", "--json"}, side).out;
    const std::size_t at = status.find("\"pid\":");
    return at == std::string::npos ? -1 : std::atoi(status.c_str() + at + 6);
  };
  ASSERT_TRUE(await([&] { return pid_of(by_hand) == foreground->pid(); }));
  const pid_t idle = pid_of(second);
  const pid_t busy = pid_of(watching);
  ASSERT_GT(idle, 0);
  kiln({"daemon", "stop"}, session_);
  ASSERT_TRUE(wait_gone(idle));
  EXPECT_THAT(kiln({"list", "--json"}, watching).out, HasSubstr("\"own_index\":true"))
      << "nobody keeps it now";
  kiln({"daemon", "start"}, second);
  EXPECT_EQ(kiln({"status"}, second).err, "") << "it keeps the index";
  EXPECT_EQ(pid_of(watching), busy);
  EXPECT_EQ(pid_of(by_hand), foreground->pid());
  for (const auto& side : {second, watching, by_hand}) kiln({"daemon", "stop"}, side);
  EXPECT_EQ(describe_status(foreground->finish().status), "exit 0");
}

// As a client does for the daemon that it starts, or `kiln clean --all`.
TEST_F(SharedCache, ADaemonByHandWaitsForWhoHoldsTheStarts) {
  fs::create_directories(cache_dir());
  fs::permissions(cache_dir(), fs::perms::owner_all);
  UniqueFd starts(::open(cache_dir().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(starts.get(), LOCK_EX), 0);
  const auto daemon = begin({"daemon", "run"}, {});
  const std::string process = "/proc/" + std::to_string(daemon->pid());
  const auto has_come_to_it = [&] {
    std::error_code gone;
    if (daemon_pid() > 0) return true;
    if (fs::read_symlink(process + "/exe", gone).filename() != "kilnd") return false;
    for (const auto& fd : fs::directory_iterator(process + "/fd", gone)) {
      if (fs::read_symlink(fd.path(), gone) == cache_dir()) return true;
    }
    return false;
  };
  EXPECT_TRUE(await(has_come_to_it));
  EXPECT_LE(daemon_pid(), 0);
  starts.reset();
  EXPECT_TRUE(await([] { return daemon_pid() > 0; }));
  kiln({"daemon", "stop"});
  EXPECT_EQ(describe_status(daemon->finish().status), "exit 0");
}

// In a directory below /tmp, which others have made before.
TEST_F(SharedCache, WhateverLiesInTheLocksPlaceNobodyIsKeptWaiting) {
  const std::string dir = work_dir() + "/cron/kiln";
  fs::create_directories(dir);
  ASSERT_EQ(::mkfifo((dir + "/kilnd.lock").c_str(), 0600), 0);
  EXPECT_EQ(kiln({"daemon", "stop"}, cron_).out, "no daemon was running\n");
}

}  // namespace
}  // namespace kiln::e2e
