// Programs on a terminal, under a real shell: what `kiln run` shows there is what python shows. Each scenario
// is typed twice, into two sessions alike, and all that the two terminals show is compared.
#include <gtest/gtest.h>

#include <sys/wait.h>

#include <csignal>
#include <functional>
#include <regex>

#include "tests/e2e/harness.h"
#include "tests/e2e/terminal.h"

namespace kiln::e2e {
namespace {

constexpr const char* kInterrupt = "\x03";  // Ctrl-C
constexpr const char* kQuit = "\x1c";       // Ctrl-Backslash
constexpr const char* kSuspend = "\x1a";    // Ctrl-Z
constexpr const char* kEndOfFile = "\x04";  // Ctrl-D

struct Shell {
  const char* name;
  std::vector<std::string> argv;
};

const std::vector<Shell>& shells() {
  static const std::vector<Shell> found = [] {
    std::vector<Shell> all{{"bash", {"/bin/bash", "--norc", "--noprofile", "--noediting", "-i"}},
                           {"dash", {"/bin/dash", "-i"}},
                           {"zsh", {"/bin/zsh", "-f", "-i", "+Z", "+o", "PROMPT_SP", "-o", "SH_WORD_SPLIT"}}};
    std::erase_if(all, [](const Shell& shell) { return ::access(shell.argv[0].c_str(), X_OK) != 0; });
    return all;
  }();
  return found;
}

std::string under_kiln(const Python& python) {
  return kiln_binary() + " run --python " + python.path;
}

// A shell on a terminal in which $P runs a program.
std::vector<std::string> shell_environment(const std::string& program) {
  return environment_with({"P=" + program, std::string("PS1=") + kPrompt, "TERM=dumb", "HISTFILE=/dev/null",
                           "PYTHONUNBUFFERED=1"});
}

// The images of a session are its own.
void warm_up(Terminal& terminal) {
  ASSERT_TRUE(terminal.wait_for(kPrompt));
  std::string said;
  for (int i = 0; i < 200 && said.find("reason=served") == std::string::npos; ++i) {
    said = terminal.enter("$P -c pass");
  }
  ASSERT_NE(said.find("reason=served"), std::string::npos) << said;
}

// Process ids are never the same. The log line says that a run was served, and is checked apart.
std::string comparable(std::string text) {
  static const std::regex log_line("kiln: [^\n]*\n");
  static const std::regex job_pid("\\[([0-9])\\]( [+-])? [0-9]+");
  text = std::regex_replace(text, log_line, "");
  return std::regex_replace(text, job_pid, "[$1]$2 PID");
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t number = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++number;
  return number;
}

std::string modes_text(const termios& modes) {
  std::string text;
  for (const tcflag_t flags : {modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag})
    text += std::to_string(flags) + " ";
  for (const cc_t character : modes.c_cc) text += std::to_string(character) + " ";
  return text;
}

using Scenario = std::function<void(Terminal&)>;

struct Shown {
  std::string output;
  std::string modes;  // in the end
};

class Terminals : public testing::TestWithParam<std::tuple<Shell, Python>> {
 protected:
  void SetUp() override { reset_work_dir(); }

  const Shell& shell() const { return std::get<0>(GetParam()); }
  const Python& python() const { return std::get<1>(GetParam()); }

  Shown show(const std::string& program, const Scenario& scenario) const {
    Terminal terminal(shell().argv, shell_environment(program));
    if (program != python().path) {
      warm_up(terminal);
    } else {
      EXPECT_TRUE(terminal.wait_for(kPrompt));
    }
    const std::size_t begin = terminal.output().size();
    scenario(terminal);
    return {terminal.output().substr(begin), modes_text(terminal.modes())};
  }

  // RUNS: how many runs the scenario has, all of which an image must serve.
  void expect_same(std::size_t runs, const Scenario& scenario) const {
    const Shown plain = show(python().path, scenario);
    const Shown warm = show(under_kiln(python()), scenario);
    EXPECT_EQ(comparable(plain.output), comparable(warm.output));
    EXPECT_EQ(plain.modes, warm.modes);
    EXPECT_EQ(count(warm.output, "reason=served"), runs) << warm.output;
    if (HasFailure()) std::printf("--- kiln showed ---\n%s\n---\n", warm.output.c_str());
  }

  static void program(const std::string& name, const std::string& text) {
    write_file(work_dir() + "/" + name, text);
  }
};

// A step of a scenario that must not go wrong, with what the terminal shows if it does.
#define EXPECT_SHOWS(terminal, text) \
  EXPECT_TRUE((terminal).wait_for(text)) << "waiting for " << (text) << " in\n" << (terminal).output()

TEST_P(Terminals, WhatAProgramSeesOfThem) {
  program(
      "see.py",
      "import os, sys, termios\n"
      "print([os.isatty(fd) for fd in range(3)], sys.stdout.line_buffering, os.get_terminal_size())\n"
      "print(os.getpgrp() == os.tcgetpgrp(0), os.getsid(0) == os.getsid(os.getppid()))\n"
      "print(os.ttyname(0) == os.ttyname(1), os.open('/dev/tty', os.O_RDWR), termios.tcgetattr(0)[:4])\n");
  expect_same(1, [](Terminal& terminal) { terminal.enter("$P see.py"); });
}

std::string name(const testing::TestParamInfo<std::tuple<Shell, Python>>& info) {
  return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param).name;
}
INSTANTIATE_TEST_SUITE_P(Each, Terminals,
                         testing::Combine(testing::ValuesIn(shells()), testing::Values(any_python())), name);

}  // namespace
}  // namespace kiln::e2e
