// Signals that reach the client reach the program, once; the client's death ends the program.
#include <gtest/gtest.h>

#include <csignal>
#include <regex>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace {

struct Delivery {
  const char* name;
  int number;
};

constexpr Delivery kForwarded[] = {{"SIGINT", SIGINT},   {"SIGTERM", SIGTERM}, {"SIGHUP", SIGHUP},
                                   {"SIGQUIT", SIGQUIT}, {"SIGUSR1", SIGUSR1}, {"SIGUSR2", SIGUSR2}};

class Signals : public testing::TestWithParam<Python> {
 protected:
  void SetUp() override {
    reset_work_dir();
    ASSERT_EQ(run_until_bare(GetParam(), {"-c", "pass"}, base_environment()).mode, "bare");
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
  ::kill(std::stoi(process.output()), SIGTERM);
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

// The group of the program is its own then, so what it started ends with it.
TEST_P(Signals, TheClientsDeathEndsTheProgramsChildren) {
  Process process({.argv = under_kiln({"-c",
                                       "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\n"
                                       "print(child.pid, 'ready', sep='\\n', flush=True)\nchild.wait()"})});
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  const pid_t child = std::stoi(process.output());
  process.signal(SIGKILL);
  EXPECT_TRUE(wait_gone(child, 10'000));
  ::kill(child, SIGKILL);
  process.finish();
}

std::string name(const testing::TestParamInfo<Python>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Each, Signals, testing::ValuesIn(interpreters()), name);

}  // namespace
}  // namespace kiln::e2e
