#include "daemon/child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace kiln {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    out.reset(ends[0]);
    in.reset(ends[1]);
  }
  std::string read_all() {
    in.reset();
    std::string all;
    char buffer[256];
    for (ssize_t size = 0; (size = ::read(out.get(), buffer, sizeof buffer)) > 0;) {
      all.append(buffer, static_cast<std::size_t>(size));
    }
    return all;
  }
  UniqueFd out;
  UniqueFd in;
};

SpawnOptions shell_options(const std::string& script) {
  SpawnOptions options;
  options.path = "/bin/sh";
  options.arguments = {"sh", "-c", script};
  options.environment = {"PATH=/usr/bin:/bin"};
  return options;
}

TEST(Child, TellsHowItEnded) {
  auto child = Child::spawn(shell_options("exit 7"));
  ASSERT_TRUE(child);
  const auto status = child->wait();
  ASSERT_TRUE(status);
  EXPECT_EQ(WEXITSTATUS(*status), 7);
  EXPECT_EQ(child->wait(), status);
}

TEST(Child, AMissingProgramIsNotFound) {
  SpawnOptions options;
  options.path = "/nonexistent/python";
  const auto child = Child::spawn(options);
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().reason, Reason::not_found);
}

TEST(Child, HasNoDescriptorButItsOwnThree) {
  const UniqueFd inherited{::open("/dev/null", O_RDONLY)};  // not close-on-exec, as a library might leave one
  Pipe pipe;
  auto options =
      shell_options("for fd in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; true");
  options.standard_output = pipe.in.get();
  auto child = Child::spawn(options);
  ASSERT_TRUE(child);
  EXPECT_EQ(pipe.read_all(), "0\n1\n2\n");
}

TEST(Child, StartsWithDefaultSignalsAndItsOwnGroup) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  Pipe pipe;
  auto options = shell_options("kill -TERM $$; echo survived");
  options.standard_output = pipe.in.get();
  auto child = Child::spawn(options);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(child);
  EXPECT_NE(::getpgid(child->pid()), ::getpgid(0));
  EXPECT_EQ(pipe.read_all(), "");
  EXPECT_EQ(WTERMSIG(child->wait().value()), SIGTERM);
}

TEST(Child, WaitGivesUpInTime) {
  auto child = Child::spawn(shell_options("exec sleep 1000"));
  ASSERT_TRUE(child);
  EXPECT_FALSE(child->wait(0));
  child->kill();
  EXPECT_EQ(WTERMSIG(child->wait().value()), SIGKILL);
}

TEST(Child, TheDestructorKillsTheWholeGroupAndReaps) {
  Pipe pipe;
  auto options = shell_options("sleep 1000 & sleep 1000 & echo started; wait");
  options.standard_output = pipe.in.get();
  pid_t pid = -1;
  {
    auto child = Child::spawn(options);
    ASSERT_TRUE(child);
    pid = child->pid();
    char started[8];
    ASSERT_EQ(::read(pipe.out.get(), started, sizeof started), 8);
  }
  EXPECT_EQ(::waitpid(pid, nullptr, 0), -1);
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(pipe.read_all(), "");  // ends only when the grandchildren have let go of it
}

TEST(Child, MayBeMoved) {
  auto first = Child::spawn(shell_options("exec sleep 1000"));
  auto second = Child::spawn(shell_options("exec sleep 1000"));
  ASSERT_TRUE(first && second);
  const pid_t replaced = first->pid();
  *first = std::move(*second);
  EXPECT_EQ(::kill(replaced, 0), -1);
  EXPECT_EQ(::kill(first->pid(), 0), 0);
}

TEST(Environment, LeavesOutPythonsVariables) {
  ::setenv("PYTHONHOME", "/nowhere", 1);
  const auto variables = environment_without_python();
  ::unsetenv("PYTHONHOME");
  for (const auto& variable : variables) EXPECT_NE(variable.substr(0, 6), "PYTHON");
  EXPECT_FALSE(variables.empty());
}

}  // namespace
}  // namespace kiln
