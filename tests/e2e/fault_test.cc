// kill -9 of each process at each stage of a run. Whoever is killed, the program runs once, and its status is
// right; or, where it is the program or its client that was killed, is that of the kill.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>
#include <regex>
#include <thread>

#include "tests/e2e/harness.h"
#include "tests/e2e/other_build.h"

namespace kiln::e2e {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSays = "import sys; print('ran'); sys.exit(7)";

pid_t image_pid() {
  const std::string status = kiln({"status", "--json"}).out;
  static const std::regex ready("\"pid\": ?([0-9]+),[^{}]*\"state\": ?\"ready\"");
  std::smatch match;
  return std::regex_search(status, match, ready) ? std::stoi(match[1]) : -1;
}

void kill_all(const std::vector<pid_t>& pids, int number) {
  for (const pid_t pid : pids) kill_process(pid, number);
}

bool is_receiving(pid_t pid) {
  const std::string receiving = std::to_string(SYS_recvmsg) + " ";
  return read_file("/proc/" + std::to_string(pid) + "/syscall").starts_with(receiving);
}

// Waits until PID waits for a message: the daemon cannot be asked, as await() would.
bool await_receiving(pid_t pid) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
  while (!is_receiving(pid)) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

enum class Victim { client, child, image, daemon };
constexpr std::array kVictims{Victim::client, Victim::child, Victim::image, Victim::daemon};

std::string name_of(Victim victim) {
  constexpr std::array<const char*, 4> names{"client", "child", "image", "daemon"};
  return names[static_cast<std::size_t>(victim)];
}

void PrintTo(Victim victim, std::ostream* out) {
  *out << name_of(victim);
}

class Faults : public testing::TestWithParam<Victim> {
 protected:
  void SetUp() override {
    if (programs_are_run_ahead()) GTEST_SKIP() << "images of programs are children of the bare image, too";
    reset_work_dir();
    ASSERT_TRUE(run_until_bare(any_python(), {"-c", "pass"}, base_environment()).is_served());
    daemon_ = daemon_pid();
    image_ = image_pid();
    ASSERT_GT(image_, 0);
    ASSERT_GT(daemon_, 0);
  }

  // Afterwards all is as before.
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_TRUE(run_until_bare(any_python(), {"-c", "pass"}, base_environment()).is_served());
  }

  static Invocation program(const std::vector<std::string>& target) {
    std::vector<std::string> argv{kiln_binary(), "run", "--python", any_python().path};
    argv.insert(argv.end(), target.begin(), target.end());
    return {.argv = argv, .environment = environment_with({"KILN_LOG"}), .in = Stream::pipe};
  }

  // Two idle children wait for runs. There may be others: one that has ended, one that practises.
  std::vector<pid_t> spares() const {
    std::vector<pid_t> found;
    EXPECT_TRUE(await([&] {
      found = children_of(image_);
      std::erase_if(found, [](pid_t pid) { return !is_receiving(pid); });
      return found.size() == 2;
    }));
    return found;
  }

  static void expect_ran(Process& client) {
    const Outcome outcome = client.finish();
    EXPECT_EQ(outcome.out, "ran\n");
    EXPECT_EQ(describe_status(outcome.status), "exit 7") << outcome.err;
  }

  pid_t daemon_ = -1;
  pid_t image_ = -1;
};

TEST_P(Faults, BeforeARun) {
  const auto idle = spares();
  if (GetParam() == Victim::child) kill_all(idle, SIGKILL);
  if (GetParam() == Victim::image) kill_process(image_, SIGKILL);
  if (GetParam() == Victim::daemon) kill_process(daemon_, SIGKILL);
  Process client(program({"-c", kSays}));
  expect_ran(client);
}

// The request lies at the daemon, which does not read it.
TEST_P(Faults, WhileTheRequestWaits) {
  kill_process(daemon_, SIGSTOP);
  Process client(program({"-c", kSays}));
  ASSERT_TRUE(await_receiving(client.pid()));
  if (GetParam() == Victim::client) kill_process(client.pid(), SIGKILL);
  if (GetParam() == Victim::child) kill_all(spares(), SIGKILL);
  if (GetParam() == Victim::image) kill_process(image_, SIGKILL);
  if (GetParam() == Victim::daemon) kill_process(daemon_, SIGKILL);
  if (GetParam() != Victim::daemon) kill_process(daemon_, SIGCONT);
  if (GetParam() != Victim::client) expect_ran(client);
}

// The connection was handed to an image, no child of which has taken it.
TEST_P(Faults, WhileTheRunWaitsForAChild) {
  const auto idle = spares();
  kill_all(idle, SIGSTOP);
  Process client(program({"-c", kSays}));
  ASSERT_TRUE(await([] {
    return std::regex_search(kiln({"status", "--json"}).out, std::regex("\"running\": ?1"));
  }));
  if (GetParam() == Victim::client) kill_process(client.pid(), SIGKILL);
  if (GetParam() == Victim::child) kill_all(idle, SIGKILL);
  if (GetParam() == Victim::image) kill_process(image_, SIGKILL);
  if (GetParam() == Victim::daemon) kill_process(daemon_, SIGKILL);
  if (GetParam() != Victim::child && GetParam() != Victim::image) kill_all(idle, SIGCONT);
  if (GetParam() != Victim::client) expect_ran(client);
}

TEST_P(Faults, WhileTheProgramRuns) {
  const auto idle = spares();
  Process client(program({programs_dir() + "/wait_for_line.py"}));
  ASSERT_TRUE(client.wait_for_output("ready\n"));
  const auto child = std::ranges::find_if(idle, [](pid_t pid) {
    std::error_code gone;
    return fs::read_symlink("/proc/" + std::to_string(pid) + "/cwd", gone) == work_dir();
  });
  ASSERT_NE(child, idle.end());
  if (GetParam() == Victim::client) kill_process(client.pid(), SIGKILL);
  if (GetParam() == Victim::child) kill_process(*child, SIGKILL);
  if (GetParam() == Victim::image) kill_process(image_, SIGKILL);
  if (GetParam() == Victim::daemon) kill_process(daemon_, SIGKILL);
  if (GetParam() == Victim::client) {
    EXPECT_TRUE(wait_gone(*child)) << "the program outlived its client";
    return;
  }
  if (GetParam() != Victim::child) client.write_input("a line\n");
  const Outcome outcome = client.finish();
  EXPECT_EQ(describe_status(outcome.status), GetParam() == Victim::child ? "signal 9" : "exit 21");
  EXPECT_EQ(outcome.out, GetParam() == Victim::child ? "ready\n" : "ready\ngot a line\n");
}

INSTANTIATE_TEST_SUITE_P(Of, Faults, testing::ValuesIn(kVictims),
                         [](const auto& info) { return name_of(info.param); });

class Upgrade : public testing::Test {
 protected:
  static constexpr int kPrograms = 20;

  void SetUp() override {
    reset_work_dir();
    ASSERT_TRUE(run_until_bare(any_python(), {"-c", "pass"}, base_environment()).is_served());
    for (int i = 0; i < kPrograms; ++i) {
      programs_.push_back(std::make_unique<Process>(Invocation{
          .argv = {kiln_binary(), "run", "--python", any_python().path, "-c",
                   "import sys; print('ready', flush=True); print(input()); sys.exit(int(sys.argv[1]))",
                   std::to_string(100 + i)},
          .in = Stream::pipe}));
    }
    for (const auto& program : programs_) ASSERT_TRUE(program->wait_for_output("ready\n"));
  }

  void expect_undisturbed() {
    for (int i = 0; i < kPrograms; ++i) {
      Process& program = *programs_[static_cast<std::size_t>(i)];
      program.write_input(std::to_string(i) + "\n");
      const Outcome outcome = program.finish();
      EXPECT_EQ(outcome.out, "ready\n" + std::to_string(i) + "\n");
      EXPECT_EQ(describe_status(outcome.status), "exit " + std::to_string(100 + i)) << outcome.err;
    }
  }

  std::vector<std::unique_ptr<Process>> programs_;
};

TEST_F(Upgrade, TwentyProgramsOutliveARestart) {
  const pid_t before = daemon_pid();
  EXPECT_EQ(describe_status(kiln({"daemon", "restart"}).status), "exit 0");
  EXPECT_NE(daemon_pid(), before);
  expect_undisturbed();
}

TEST_F(Upgrade, TwentyProgramsOutliveAnotherBuild) {
  const pid_t before = daemon_pid();
  const std::string other = other_build();
  const Outcome first = run({.argv = {other, "run", "--python", any_python().path, "-c", "pass"}});
  EXPECT_EQ(describe_status(first.status), "exit 0") << first.err;
  EXPECT_TRUE(wait_gone(before)) << "the other build's daemon did not take over";
  expect_undisturbed();
  EXPECT_EQ(describe_status(run({.argv = {other, "daemon", "stop"}}).status), "exit 0");
}

}  // namespace
}  // namespace kiln::e2e
