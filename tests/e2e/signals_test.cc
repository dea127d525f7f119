// Signals that reach the client reach the program, once; the client's death ends the program.
#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <regex>
#include <sstream>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace {

struct Delivery {
  const char* name;
  int number;
};

const Delivery kForwarded[] = {{"SIGINT", SIGINT},   {"SIGTERM", SIGTERM},   {"SIGHUP", SIGHUP},
                               {"SIGQUIT", SIGQUIT}, {"SIGUSR1", SIGUSR1},   {"SIGUSR2", SIGUSR2},
                               {"SIGALRM", SIGALRM}, {"SIGABRT", SIGABRT},   {"SIGSEGV", SIGSEGV},
                               {"SIGPROF", SIGPROF}, {"SIGRTMIN", SIGRTMIN}, {"SIGIO", SIGIO}};
// Those that do not end a program by themselves.
constexpr Delivery kHarmless[] = {{"SIGWINCH", SIGWINCH}, {"SIGCONT", SIGCONT}, {"SIGTSTP", SIGTSTP},
                                  {"SIGTTIN", SIGTTIN},   {"SIGTTOU", SIGTTOU}, {"SIGURG", SIGURG}};

class Signals : public testing::TestWithParam<Python> {
 protected:
  void SetUp() override {
    reset_work_dir();
    ASSERT_TRUE(run_until_bare(GetParam(), {"-c", "pass"}, base_environment()).is_served());
  }

  std::vector<std::string> under_python(const std::vector<std::string>& program) const {
    std::vector<std::string> argv{GetParam().path};
    argv.insert(argv.end(), program.begin(), program.end());
    return argv;
  }

  std::vector<std::string> under_kiln(const std::vector<std::string>& program) const {
    std::vector<std::string> argv{kiln_binary(), "run", "--python", GetParam().path};
    argv.insert(argv.end(), program.begin(), program.end());
    return argv;
  }

  // Signals the process once it is ready. The log line is taken out of the standard error.
  static Outcome signalled(const Invocation& invocation, int number) {
    Process process(invocation);
    EXPECT_TRUE(process.wait_for_output("ready\n"));
    process.signal(number);
    Outcome outcome = process.finish();
    take_log_line(outcome.err);
    return outcome;
  }

  void expect_same(const std::string& program, const Delivery& delivery) {
    SCOPED_TRACE(program + " " + delivery.name);
    const std::vector<std::string> script{programs_dir() + "/" + program};
    const Outcome python = signalled({.argv = under_python(script)}, delivery.number);
    const Outcome kiln = signalled({.argv = under_kiln(script)}, delivery.number);
    EXPECT_EQ(python.out, kiln.out);
    EXPECT_EQ(python.err, kiln.err);
    EXPECT_EQ(describe_status(python.status), describe_status(kiln.status));
  }
};

TEST_P(Signals, AreHandledByTheProgram) {
  for (const Delivery& delivery : kForwarded) expect_same("handle_signal.py", delivery);
  for (const Delivery& delivery : kHarmless) expect_same("handle_signal.py", delivery);
}

TEST_P(Signals, EndTheProgramThatDoesNotHandleThem) {
  for (const Delivery& delivery : kForwarded) expect_same("wait_for_signal.py", delivery);
}

TEST_P(Signals, StayIgnoredWhereTheCallerIgnoresThem) {
  for (const bool with_kiln : {false, true}) {
    const std::vector<std::string> script{programs_dir() + "/wait_for_line.py"};
    Process process({.argv = with_kiln ? under_kiln(script) : under_python(script),
                     .in = Stream::pipe,
                     .in_child = [] { std::signal(SIGHUP, SIG_IGN); }});
    ASSERT_TRUE(process.wait_for_output("ready\n"));
    process.signal(SIGHUP);
    process.write_input("a line\n");
    const Outcome outcome = process.finish();
    EXPECT_EQ(outcome.out, "ready\ngot a line\n");
    EXPECT_EQ(describe_status(outcome.status), "exit 21");
  }
}

constexpr const char* kSayPidAndWait =
    "import os, signal\nprint(os.getpid(), 'ready', sep='\\n', flush=True)\nsignal.pause()";

TEST_P(Signals, ToTheProgramItselfAreItsStatus) {
  Process process({.argv = under_kiln({"-c", kSayPidAndWait})});
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  kill_process(std::stoi(process.output()), SIGTERM);
  EXPECT_EQ(describe_status(process.finish().status), "signal 15");
}

TEST_P(Signals, TheClientsDeathEndsTheProgram) {
  Process process({.argv = under_kiln({"-c", kSayPidAndWait})});
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  const pid_t program = std::stoi(process.output());
  process.signal(SIGKILL);
  EXPECT_TRUE(wait_gone(program, 10'000));
  process.finish();
}

// As it does when python itself is killed.
TEST_P(Signals, TheClientsDeathLeavesTheProgramsChildren) {
  Process process({.argv = under_kiln({"-c",
                                       "import os, subprocess\nchild = subprocess.Popen(['sleep', '1000'])\n"
                                       "print(os.getpid(), child.pid, 'ready', flush=True)\nchild.wait()"})});
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  pid_t program = 0;
  pid_t child = 0;
  std::istringstream(process.output()) >> program >> child;
  process.signal(SIGKILL);
  EXPECT_TRUE(wait_gone(program, 10'000));
  EXPECT_FALSE(wait_gone(child, 0));
  kill_process(child, SIGKILL);
  process.finish();
}

// A signal that comes just before a call that waits must end that, too.
constexpr const char* kCountSignals =
    "import os, select, signal, sys\n"
    "count = 0\n"
    "def note(*_):\n"
    "    global count\n"
    "    count += 1\n"
    "    os.write(1, b'count %d\\n' % count)\n"
    "signal.signal(signal.SIGTERM, note)\n"
    "woken, wakes = os.pipe()\n"
    "os.set_blocking(wakes, False)\n"
    "signal.set_wakeup_fd(wakes)\n"
    "print(os.getpgrp(), 'ready', flush=True)\n"
    "while 0 not in select.select([0, woken], [], [])[0]: os.read(woken, 1)\n"
    "print('total', count)\n";

// SEND is called 200 times; each time one signal arrives, and no more in the end.
void expect_each_once(Process& process, const std::function<void()>& send) {
  for (int i = 1; i <= 200; ++i) {
    send();
    ASSERT_TRUE(process.wait_for_output("count " + std::to_string(i) + "\n")) << process.output();
  }
  process.close_input();
  ASSERT_TRUE(process.wait_for_output("total 200\n")) << process.output();
}

TEST_P(Signals, ToTheGroupArriveOnce) {
  Process process(
      {.argv = under_kiln({"-c", kCountSignals}), .in = Stream::pipe, .in_child = [] { ::setpgid(0, 0); }});
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  EXPECT_EQ(std::stoi(process.output()), process.pid());
  expect_each_once(process, [&] { kill_group(process.pid(), SIGTERM); });
}

// By way of the group that the caller finds the client in, for that is not the program's.
TEST_P(Signals, ToTheClientsOwnGroupArriveOnce) {
  Process process(
      {.argv = under_kiln({"-c", kCountSignals}), .in = Stream::pipe, .in_child = [] { ::setpgid(0, 0); }});
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  expect_each_once(process, [&] { kill_group(::getpgid(process.pid()), SIGTERM); });
}

constexpr const char* kChildThatSaysWhichSignal =
    "import signal, subprocess\n"
    "signal.signal(signal.SIGTERM, lambda *_: print('the program got it', flush=True))\n"
    "trap = 'trap \"echo the child got it; exit 7\" TERM; echo ready; read x'\n"
    "print('waits', subprocess.Popen(['sh', '-c', trap]).wait(), flush=True)\n";

TEST_P(Signals, ToTheGroupReachTheProgramsChildren) {
  for (const auto& argv :
       {under_python({"-c", kChildThatSaysWhichSignal}), under_kiln({"-c", kChildThatSaysWhichSignal})}) {
    Process process({.argv = argv, .in = Stream::pipe, .in_child = [] { ::setpgid(0, 0); }});
    ASSERT_TRUE(process.wait_for_output("ready\n"));
    kill_group(process.pid(), SIGTERM);
    ASSERT_TRUE(process.wait_for_output("waits 7\n")) << process.output();
    EXPECT_NE(process.output().find("the child got it\n"), std::string::npos);
    EXPECT_NE(process.output().find("the program got it\n"), std::string::npos);
    EXPECT_EQ(describe_status(process.finish().status), "exit 0");
  }
}

std::string name(const testing::TestParamInfo<Python>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Each, Signals, testing::ValuesIn(interpreters()), name);

}  // namespace
}  // namespace kiln::e2e
