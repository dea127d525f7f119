// `kiln x NAME` is NAME as a shell starts it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::HasSubstr;

constexpr const char* kProgram =
    "import os, sys\n"
    "print(sys.argv, sys.orig_argv if hasattr(sys, 'orig_argv') else '')\n"
    "print(sys.path[0], sys.executable, __file__, __name__)\n"
    "print(sys.flags)\n"
    "print(open('/proc/self/comm').read(), open('/proc/self/cmdline').read())\n"
    "print(open('/proc/self/environ').read(), os.environ)\n"
    "sys.exit(len(sys.argv))\n";

class NamedProgram : public testing::TestWithParam<Python> {
 protected:
  void SetUp() override {
    reset_work_dir();
    fs::create_directories(bin());
    fs::create_symlink(GetParam().path, bin() + "/python3");
  }

  static std::string bin() { return work_dir() + "/some bin"; }

  static void install(const std::string& name, const std::string& text) {
    write_file(bin() + "/" + name, text);
    fs::permissions(bin() + "/" + name, fs::perms::owner_all);
  }

  static Outcome run_named(std::vector<std::string> argv) {
    return run({.argv = std::move(argv),
                .environment = environment_with(
                    {"PATH=" + bin() + ":/usr/bin:/bin", "no-name=1", "A=1", "PWD=/nowhere"})});
  }
  static Outcome direct(const std::string& name) {
    return run_named({"/usr/bin/env", name, "one", "-t w o"});
  }
  static Outcome through_kiln(const std::string& name) {
    return run_named({kiln_binary(), "x", name, "one", "-t w o"});
  }

  // Until an image serves it; then it is as if it had been started directly.
  static void expect_warm(const std::string& name) {
    LogLine log;
    Outcome outcome;
    const Outcome expected = direct(name);
    for (int i = 0; i < 200 && !log.is_served(); ++i) {
      outcome = through_kiln(name);
      log = take_log_line(outcome.err);
      EXPECT_EQ(outcome.out, expected.out) << log.line;
    }
    EXPECT_TRUE(log.is_served()) << log.line;
    EXPECT_EQ(outcome.err, expected.err);
    EXPECT_EQ(describe_status(outcome.status), "exit 3");
    EXPECT_EQ(describe_status(expected.status), "exit 3") << expected.err;
  }

  static void expect_executed(const std::string& name) {
    Outcome outcome = through_kiln(name);
    const LogLine log = take_log_line(outcome.err);
    const Outcome expected = direct(name);
    EXPECT_EQ(log.reason, "not-python") << log.line;
    EXPECT_EQ(outcome.out, expected.out);
    EXPECT_EQ(outcome.status, expected.status);
  }
};

TEST_P(NamedProgram, ScriptsByTheirFirstLine) {
  install("plain", "#!" + GetParam().path + "\n" + kProgram);
  expect_warm("plain");
  install("option", "#!" + GetParam().path + " -sE\n" + kProgram);
  expect_warm("option");
}

TEST_P(NamedProgram, TheProcessHasTheNameThatTheKernelGivesIt) {
  const std::string name = "with-a-long-name";
  install(name, "#!" + GetParam().path + "\n" + kProgram);
  expect_warm(name);
  EXPECT_THAT(through_kiln(name).out, HasSubstr(name.substr(0, 15) + "\n")) << "TASK_COMM_LEN of Linux";
}

TEST_P(NamedProgram, ScriptsThroughEnv) {
  install("env", std::string("#!/usr/bin/env python3\n") + kProgram);
  expect_warm("env");
  install("split", std::string("#!/usr/bin/env -S python3 -B -s\n") + kProgram);
  expect_warm("split");
}

// A long path, or one with a space, has no place in a first line. The shell that starts it makes the
// environment anew.
TEST_P(NamedProgram, ScriptsAsPipWritesThem) {
  install("piped", "#!/bin/sh\n'''exec' \"" + bin() + "/python3\" \"$0\" \"$@\"\n' '''\n" + kProgram);
  expect_warm("piped");
}

TEST_P(NamedProgram, APathIsTakenAsItIs) {
  install("plain", "#!" + GetParam().path + "\n" + kProgram);
  expect_warm(bin() + "/plain");
  expect_warm("some bin/plain");
}

// An empty part of PATH is the working directory; bash says so in the path that it starts.
TEST_P(NamedProgram, InTheWorkingDirectoryAsBashStartsIt) {
  if (!fs::exists("/bin/bash")) GTEST_SKIP() << "there is no bash";
  install("here", "#!" + GetParam().path + "\nimport sys\nprint(sys.argv, __file__)\n");
  const auto run_here = [](std::vector<std::string> argv) {
    return run(
        {.argv = std::move(argv), .environment = environment_with({"PATH=:/usr/bin:/bin"}), .cwd = bin()});
  };
  const Outcome expected = run_here({"/bin/bash", "-c", "here"});
  EXPECT_EQ(run_here({kiln_binary(), "x", "here"}).out, expected.out);
  EXPECT_NE(expected.out, "");
}

TEST_P(NamedProgram, OtherProgramsAreExecuted) {
  install("shell", "#!/bin/sh\necho \"$0\" \"$@\"; exit 7\n");
  expect_executed("shell");
  install("formless", "echo formless \"$@\"; exit 8\n");
  expect_executed("formless");
  expect_executed("true");
  install("sets", "#!/usr/bin/env -S A=1 sh\necho $A\n");
  expect_executed("sets");
}

TEST_P(NamedProgram, MistakesAreTold) {
  EXPECT_EQ(describe_status(kiln({"x"}).status), "exit 2");
  EXPECT_EQ(describe_status(kiln({"x", "--option"}).status), "exit 2");
  const Outcome missing = kiln({"x", "no-such-program"});
  EXPECT_EQ(describe_status(missing.status), "exit 127");
  EXPECT_THAT(missing.err, HasSubstr("no program no-such-program on PATH"));
  install("idle", "#!/nowhere/python3\n");
  EXPECT_EQ(describe_status(through_kiln("idle").status), "exit 127");
  fs::permissions(bin() + "/idle", fs::perms::owner_read);
  EXPECT_EQ(describe_status(through_kiln(bin() + "/idle").status), "exit 126");
  EXPECT_THAT(kiln({"x", "--help"}).out, HasSubstr("kiln x NAME"));
}

INSTANTIATE_TEST_SUITE_P(Each, NamedProgram, testing::ValuesIn(interpreters()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace kiln::e2e
