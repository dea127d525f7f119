// Programs on a terminal, under a real shell: what `kiln run` shows there is what python shows. Each scenario
// is typed twice, into two sessions alike, and all that the two terminals show is compared.
#include <gtest/gtest.h>

#include <filesystem>

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <ostream>
#include <regex>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/e2e/harness.h"
#include "tests/e2e/terminal.h"

namespace kiln::e2e {
namespace {

constexpr const char* kInterrupt = "\x03";  // Ctrl-C
constexpr const char* kQuit = "\x1c";       // Ctrl-Backslash
constexpr const char* kSuspend = "\x1a";    // Ctrl-Z
constexpr const char* kEndOfFile = "\x04";  // Ctrl-D

// Whole lines are awaited: what a key does to the rest of one is a matter of luck.
constexpr const char* kReady = "ready\r\n";
constexpr const char* kContinued = "continued\r\n";

struct Shell {
  const char* name;
  std::vector<std::string> argv;
};

void PrintTo(const Shell& shell, std::ostream* out) {
  *out << shell.name;
}

const std::vector<Shell>& shells() {
  static const std::vector<Shell> found = [] {
    std::vector<Shell> all{{"bash", {"/bin/bash", "--norc", "--noprofile", "--noediting", "-i"}},
                           {"dash", {"/bin/dash", "-i"}},
                           {"zsh",
                            {"/bin/zsh", "-f", "-i", "+Z", "+o", "PROMPT_SP", "+o", "BG_NICE", "+o", "HUP",
                             "+o", "NOTIFY", "+o", "CHECK_RUNNING_JOBS", "-o", "SH_WORD_SPLIT"}}};
    std::erase_if(all, [](const Shell& shell) { return ::access(shell.argv[0].c_str(), X_OK) != 0; });
    return all;
  }();
  return found;
}

// By a link, for shells divide $P at spaces, of which the build's path may have some.
std::string under_kiln(const Python& python) {
  const std::string link = home_dir() + "/kiln";
  if (!std::filesystem::is_symlink(link)) std::filesystem::create_symlink(kiln_binary(), link);
  return link + " run --python " + python.path;
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
  // dash says so of a job that it waits for, and not of one that is over before it does.
  static const std::regex how_it_died("\n(Hangup|Terminated|Killed|Segmentation fault)(?=\n)");
  static const std::regex job_pid("\\[([0-9])\\]( [+-])? [0-9]+");
  // A job in the background says so before or after the shell's prompt.
  static const std::regex job_after_prompt("<prompt> (ready|continued)\n");
  text = std::regex_replace(text, log_line, "");
  text = std::regex_replace(text, job_after_prompt, "$1\n<prompt> ");
  text = std::regex_replace(text, how_it_died, "");
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

// waiting.py, for the programs here. wait() returns a line of the terminal, or of a file. It misses no
// signal, as a read does that begins just after one came, and before Python looks.
constexpr const char* kWaiting =
    "import os, select, signal, sys\n"
    "come, notify = os.pipe()\n"
    "os.set_blocking(notify, False)\n"
    "signal.set_wakeup_fd(notify, warn_on_full_buffer=False)\n"
    "def wait(fd=0):\n"
    "    while True:\n"
    "        ready = select.select([fd, come], [], [])[0]\n"
    "        if come in ready: os.read(come, 100)\n"
    "        if fd in ready: return os.read(fd, 1000).decode()\n";

using Scenario = std::function<void(Terminal&)>;

struct Shown {
  std::string output;
  std::string modes;  // in the end
};

class Terminals : public testing::TestWithParam<std::tuple<Shell, Python>> {
 protected:
  void SetUp() override {
    reset_work_dir();
    program("waiting.py", kWaiting);
    ASSERT_EQ(::mkfifo((work_dir() + "/pipe").c_str(), 0600), 0);
  }

  const Shell& shell() const { return std::get<0>(GetParam()); }
  const Python& python() const { return std::get<1>(GetParam()); }

  Shown show(const std::string& program, const Scenario& scenario) const {
    for (const char* left : {"/out", "/job", "/pid"}) ::unlink((work_dir() + left).c_str());
    Terminal terminal(shell().argv, shell_environment(program));
    if (program != python().path) {
      warm_up(terminal);
    } else {
      EXPECT_TRUE(terminal.wait_for(kPrompt));
    }
    terminal.enter("stty noflsh");  // keys that signal would drop what is not yet read here
    const std::size_t begin = terminal.output().size();
    scenario(terminal);
    return {terminal.output().substr(begin), modes_text(terminal.modes())};
  }

  // RUNS: how many runs the scenario has, all of which an image must serve.
  // zsh waits in vain for a job whose end it has told already, which is a matter of luck: there its own word
  // for the end counts, and not what the wait returns.
  std::string seen(const std::string& output) const {
    static const std::regex waited("\n(wait: %1: no such job\n)?[0-9]+(?=\n)");
    const std::string text = comparable(output);
    return std::string_view(shell().name) == "zsh" ? std::regex_replace(text, waited, "") : text;
  }

  void expect_same(std::size_t runs, const Scenario& scenario) const {
    const Shown plain = show(python().path, scenario);
    const Shown warm = show(under_kiln(python()), scenario);
    EXPECT_EQ(seen(plain.output), seen(warm.output));
    EXPECT_EQ(plain.modes, warm.modes);
    EXPECT_EQ(count(warm.output, "reason=served"), runs) << warm.output;
    if (HasFailure()) std::printf("--- kiln showed ---\n%s\n---\n", warm.output.c_str());
  }

  static void program(const std::string& name, const std::string& text) {
    write_file(work_dir() + "/" + name, text);
  }
};

// Whoever waits in vain need not go on.
void await_text(Terminal& terminal, const std::string& text) {
  if (!terminal.wait_for(text))
    throw std::runtime_error("waiting for '" + text + "' in\n" + terminal.output());
}

// What a job in the background says comes before or after the shell's prompt.
void await_with_prompt(Terminal& terminal, const std::string& text) {
  if (!terminal.wait_for_both(text, kPrompt))
    throw std::runtime_error("waiting for '" + text + "' and a prompt in\n" + terminal.output());
}

TEST_P(Terminals, WhatAProgramSeesOfThem) {
  program(
      "see.py",
      "import os, sys, termios\n"
      "print([os.isatty(fd) for fd in range(3)], sys.stdout.line_buffering, os.get_terminal_size())\n"
      "print(os.getpgrp() == os.tcgetpgrp(0), os.getsid(0) == os.getsid(os.getppid()))\n"
      "print(os.ttyname(0) == os.ttyname(1), os.open('/dev/tty', os.O_RDWR), termios.tcgetattr(0)[:4])\n");
  expect_same(1, [](Terminal& terminal) { terminal.enter("$P see.py"); });
}

// Says "ready", then waits for a line of the terminal or of a named pipe. Which of its own lines an interrupt
// finds is a matter of luck, and so not shown. Unbuffered, print() would write the end of its line by itself,
// and the shell's prompt might come before it.
constexpr const char* kWait =
    "import os, signal, sys, waiting\n"
    "sys.tracebacklimit = 0\n"
    "signal.signal(signal.SIGCONT, lambda *_: sys.stdout.write('continued\\n'))\n"
    "sys.stdout.write('ready\\n')\n"
    "print('got', waiting.wait(os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK) if sys.argv[1:] else 0), "
    "end='')\n"
    "sys.exit(3)\n";

TEST_P(Terminals, AreReadAndWritten) {
  program("wait.py", kWait);
  expect_same(2, [](Terminal& terminal) {
    terminal.type("$P wait.py\n");
    await_text(terminal, kReady);
    terminal.enter("a line");
    terminal.enter("echo $?");
    terminal.type("$P wait.py\n");
    await_text(terminal, kReady);
    terminal.type(kEndOfFile);
    await_text(terminal, kPrompt);
  });
}

TEST_P(Terminals, InterruptAndQuit) {
  program("wait.py", kWait);
  expect_same(2, [](Terminal& terminal) {
    for (const char* key : {kInterrupt, kQuit}) {
      terminal.type("$P wait.py\n");
      await_text(terminal, kReady);
      terminal.type(key);
      await_text(terminal, kPrompt);
      terminal.enter("echo $?");
    }
  });
}

// Fifty times Ctrl-C: fifty calls of the handler.
TEST_P(Terminals, EachInterruptArrivesOnce) {
  program("count.py",
          "import signal, waiting\n"
          "calls = []\n"
          "def note(*_):\n"
          "    calls.append(1)\n"
          "    print('call', len(calls))\n"
          "signal.signal(signal.SIGINT, note)\n"
          "print('ready')\n"
          "waiting.wait()\n"
          "print('total', len(calls))\n");
  expect_same(1, [](Terminal& terminal) {
    terminal.type("$P count.py\n");
    await_text(terminal, kReady);
    for (int i = 1; i <= 50; ++i) {
      terminal.type(kInterrupt);
      await_text(terminal, "call " + std::to_string(i) + "\r\n");
    }
    terminal.enter("");
  });
}

TEST_P(Terminals, InterruptEndsAScriptAndALoop) {
  program("wait.py", kWait);
  program("script.sh", "$P wait.py\necho after $?\n");
  expect_same(3, [](Terminal& terminal) {
    for (const std::string command :
         {"sh script.sh", "bash script.sh", "while true; do $P wait.py; echo again; done"}) {
      terminal.type(command + "\n");
      await_text(terminal, kReady);
      terminal.type(kInterrupt);
      await_text(terminal, kPrompt);
    }
  });
}

TEST_P(Terminals, SuspendAndContinue) {
  program("wait.py", kWait);
  expect_same(1, [](Terminal& terminal) {
    terminal.type("$P wait.py\n");
    await_text(terminal, kReady);
    for (int i = 0; i < 20; ++i) {
      terminal.type(kSuspend);
      await_text(terminal, kPrompt);
      terminal.enter("echo $?");
      terminal.enter("jobs");
      terminal.type("fg\n");
      await_text(terminal, kContinued);
    }
    terminal.enter("a line");
    terminal.enter("echo $?");
  });
}

TEST_P(Terminals, AScriptIsSuspended) {
  program("wait.py", kWait);
  program("script.sh", "$P wait.py\necho after $?\n");
  expect_same(1, [](Terminal& terminal) {
    terminal.type("sh script.sh\n");
    await_text(terminal, kReady);
    terminal.type(kSuspend);
    await_text(terminal, kPrompt);
    terminal.enter("jobs");
    terminal.type("fg\n");
    await_text(terminal, kContinued);
    terminal.enter("a line");
  });
}

TEST_P(Terminals, SuspendAndGoOnInTheBackground) {
  program("wait.py", kWait);
  expect_same(1, [](Terminal& terminal) {
    terminal.type("$P wait.py pipe\n");
    await_text(terminal, kReady);
    terminal.type(kSuspend);
    await_text(terminal, kPrompt);
    terminal.type("bg\n");
    await_with_prompt(terminal, kContinued);
    terminal.enter("");
    terminal.enter("jobs");
    terminal.enter("echo a line > pipe; wait %1; echo $?");
    terminal.enter("jobs");
  });
}

TEST_P(Terminals, StartedInTheBackground) {
  program("wait.py", kWait);
  expect_same(1, [](Terminal& terminal) {
    terminal.type("$P wait.py pipe &\n");
    await_with_prompt(terminal, kReady);
    terminal.enter("jobs");
    terminal.enter("echo a line > pipe; wait %1; echo $?");
    terminal.enter("jobs");
  });
}

// What shells send to jobs, they send to groups.
TEST_P(Terminals, SignalsToAJob) {
  program("wait.py", kWait);
  expect_same(5, [](Terminal& terminal) {
    for (const std::string signal : {"INT", "TERM", "KILL", "HUP", "SEGV"}) {
      terminal.type("$P wait.py pipe &\n");
      await_with_prompt(terminal, kReady);
      terminal.enter("kill -" + signal + " %1; wait %1; echo $?");
      terminal.enter("jobs");
    }
  });
}

// Starts COMMAND as job 1.
void start_job(Terminal& terminal, const std::string& command) {
  terminal.enter(command + " & echo $! > job");
}

// The process that the shell knows as its job.
pid_t job() {
  return std::stoi(read_file(work_dir() + "/job"));
}

void await_stopped(bool stopped) {
  const auto is_stopped = [] {
    return read_file("/proc/" + std::to_string(job()) + "/stat").find(") T ") != std::string::npos;
  };
  EXPECT_TRUE(await([&] { return is_stopped() == stopped; })) << stopped;
}

TEST_P(Terminals, StopsOfAJob) {
  program("wait.py", kWait);
  expect_same(1, [](Terminal& terminal) {
    start_job(terminal, "$P wait.py pipe > out");
    EXPECT_TRUE(await([] { return !read_file(work_dir() + "/out").empty(); }));
    // Not by the shell, which might look for changes before or after there is one.
    for (const int signal : {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP}) {
      kill_group(job(), signal);
      await_stopped(true);
      terminal.enter("jobs");
      // When the shell hears that it goes on is a matter of luck: the job tells it as soon as it runs.
      kill_group(job(), SIGCONT);
      await_stopped(false);
    }
    kill_group(job(), SIGSTOP);
    await_stopped(true);
    terminal.enter("jobs");
    kill_group(job(), SIGKILL);
    EXPECT_TRUE(wait_gone(job()));
    terminal.enter("jobs");
  });
}

TEST_P(Terminals, ReadFromTheBackground) {
  program("read.py", "import sys\nprint('got', sys.stdin.readline())\n");
  expect_same(1, [](Terminal& terminal) {
    start_job(terminal, "$P read.py > out");
    await_stopped(true);
    terminal.enter("jobs");
    terminal.type("fg\n");
    EXPECT_TRUE(await([&] { return terminal.foreground() != terminal.leader(); }));
    terminal.enter("a line");
    terminal.enter("cat out");
  });
}

TEST_P(Terminals, WriteFromTheBackground) {
  program("write.py", "import sys\nprint('written')\nsys.exit(5)\n");
  expect_same(1, [](Terminal& terminal) {
    terminal.enter("stty tostop");
    start_job(terminal, "$P write.py");
    await_stopped(true);
    terminal.enter("jobs");
    terminal.enter("fg");
    terminal.enter("echo $?");
  });
}

TEST_P(Terminals, Pipelines) {
  program("upper.py", "import sys\nfor line in sys.stdin:\n    print(line.upper(), end='')\n");
  program("wait.py", kWait);
  expect_same(6, [](Terminal& terminal) {
    terminal.enter("echo one | $P upper.py | cat");
    terminal.enter("$P -c 'print(\"two\")' 2>log | $P upper.py; cat log");
    terminal.enter("printf 'a\\nb\\nc\\n' | $P upper.py | tail -n 1 | cat");
    terminal.type("$P wait.py | cat\n");
    await_text(terminal, kReady);
    terminal.type(kSuspend);
    await_text(terminal, kPrompt);
    terminal.type("fg\n");
    await_text(terminal, kContinued);
    terminal.enter("a line");
    terminal.type("$P wait.py | cat\n");
    await_text(terminal, kReady);
    terminal.type(kInterrupt);
    await_text(terminal, kPrompt);
  });
}

// The shell puts the members of a pipeline into the group of the first, which may be over by then.
TEST_P(Terminals, HundredPipelines) {
  expect_same(200, [](Terminal& terminal) {
    for (int i = 0; i < 100; ++i) terminal.enter("$P -c 'print(7)' | cat | $P -c 'print(input())'");
  });
}

TEST_P(Terminals, NewSize) {
  program("size.py",
          "import os, signal, waiting\n"
          "signal.signal(signal.SIGWINCH, lambda *_: print('size', os.get_terminal_size()))\n"
          "print('ready')\n"
          "waiting.wait()\n");
  expect_same(1, [](Terminal& terminal) {
    terminal.type("$P size.py\n");
    await_text(terminal, kReady);
    terminal.resize(50, 132);
    await_text(terminal, "lines=50)\r\n");
    terminal.resize(24, 80);
    await_text(terminal, "lines=24)\r\n");
    terminal.enter("");
  });
}

// Restores the terminal when it is stopped, as curses does.
TEST_P(Terminals, HandledSuspend) {
  program("handler.py",
          "import os, signal, termios, waiting\n"
          "plain = termios.tcgetattr(0)\n"
          "quiet = termios.tcgetattr(0)\n"
          "quiet[3] &= ~termios.ECHO\n"
          "def stop(*_):\n"
          "    termios.tcsetattr(0, termios.TCSANOW, plain)\n"
          "    print('restored', os.tcgetpgrp(0) == os.getpgrp())\n"
          "    signal.signal(signal.SIGTSTP, signal.SIG_DFL)\n"
          "    os.kill(os.getpid(), signal.SIGTSTP)\n"
          "    signal.signal(signal.SIGTSTP, stop)\n"
          "    termios.tcsetattr(0, termios.TCSANOW, quiet)\n"
          "    print('resumed', os.tcgetpgrp(0) == os.getpgrp())\n"
          "signal.signal(signal.SIGTSTP, stop)\n"
          "termios.tcsetattr(0, termios.TCSANOW, quiet)\n"
          "print('ready')\n"
          "waiting.wait()\n"
          "termios.tcsetattr(0, termios.TCSANOW, plain)\n");
  expect_same(1, [](Terminal& terminal) {
    terminal.type("$P handler.py\n");
    await_text(terminal, kReady);
    for (int i = 0; i < 10; ++i) {
      terminal.type(kSuspend);
      await_text(terminal, kPrompt);
      terminal.enter("stty -a");
      terminal.type("fg\n");
      await_text(terminal, "resumed True\r\n");
    }
    terminal.type("not shown\n");
    await_text(terminal, kPrompt);
    terminal.enter("stty -a");
  });
}

TEST_P(Terminals, IgnoredSuspend) {
  program("ignore.py",
          "import signal, sys\n"
          "if sys.argv[1:]: signal.signal(signal.SIGTSTP, signal.SIG_IGN)\n"
          "print(signal.getsignal(signal.SIGTSTP))\n"
          "print('ready')\n"
          "print('got', sys.stdin.readline())\n");
  // zsh gives what it starts the default again: the program stops, and what is typed then is the shell's.
  const bool inherits = std::string_view(shell().name) != "zsh";
  expect_same(inherits ? 2 : 1, [&](Terminal& terminal) {
    for (const std::string command : {"$P ignore.py ignore", "(trap '' TSTP; $P ignore.py)"}) {
      if (!inherits && command.starts_with("(")) continue;
      terminal.type(command + "\n");
      await_text(terminal, kReady);
      terminal.type(kSuspend);
      await_text(terminal, "^Z");
      terminal.enter("a line");
    }
  });
}

// A run that leads the session, or lives in an orphaned group, cannot be stopped by the terminal; the child
// of an image could.
TEST_P(Terminals, OfAnOrphanedGroup) {
  program("wait.py", kWait);
  const auto show_led = [&](const std::string& program, const std::string& command) {
    Terminal terminal({shell().argv[0], "-c", command}, shell_environment(program));
    await_text(terminal, kReady);
    terminal.type(kSuspend);
    await_text(terminal, "^Z");
    terminal.type("a line\n");
    terminal.wait_for("no more is to come");
    return comparable(terminal.output()) + describe_status(terminal.wait());
  };
  for (const std::string command : {"eval $P wait.py; exit $?", "eval exec $P wait.py"}) {
    EXPECT_EQ(show_led(python().path, command), show_led(under_kiln(python()), command));
  }
}

TEST_P(Terminals, OtherLeaders) {
  program("see.py",
          "import os\n"
          "print(os.getsid(0) == os.getpid(), os.path.exists('/proc/self'), os.isatty(1))\n"
          "try:\n    os.close(os.open('/dev/tty', os.O_RDWR))\nexcept OSError as error:\n    print(error)\n");
  expect_same(0, [](Terminal& terminal) {
    terminal.enter("setsid -w $P see.py");
    terminal.enter("script -qec \"$P see.py\" /dev/null");
  });
}

TEST_P(Terminals, UnderTimeout) {
  program("wait.py", kWait);
  program("sleep.py", "import time\nprint('ready')\ntime.sleep(60)\n");
  expect_same(3, [](Terminal& terminal) {
    terminal.enter("timeout 0.3 $P sleep.py");
    terminal.enter("echo $?");
    terminal.enter("timeout --foreground 0.3 $P sleep.py");
    terminal.type("timeout --foreground 50 $P wait.py\n");
    await_text(terminal, kReady);
    terminal.enter("a line");
  });
}

TEST_P(Terminals, Passwords) {
  program("ask.py", "import getpass\nprint(repr(getpass.getpass()), repr(getpass.getuser()))\n");
  expect_same(1, [](Terminal& terminal) {
    terminal.type("$P ask.py </dev/null\n");
    await_text(terminal, "Password: ");
    terminal.enter("secret");
  });
}

TEST_P(Terminals, EditedLines) {
  program("edit.py",
          "import sys\n"
          "if sys.argv[1:]: import readline\n"
          "print(repr(input('first? ')), repr(input('second? ')))\n"
          "input('third? ')\n");
  expect_same(2, [](Terminal& terminal) {
    for (const std::string command : {"$P edit.py", "$P edit.py readline"}) {
      terminal.type(command + "\n");
      await_text(terminal, "first? ");
      terminal.type(
          "bcd\x7f\x01"
          "a\n");
      await_text(terminal, "second? ");
      terminal.type("x\n");
      await_text(terminal, "third? ");
      terminal.type(kEndOfFile);
      await_text(terminal, kPrompt);
      terminal.enter("stty -a");
    }
  });
}

TEST_P(Terminals, Debuggers) {
  program("debugged.py", "x = 1\nbreakpoint()\nx = x + 1\nprint('x is', x)\n");
  expect_same(2, [](Terminal& terminal) {
    terminal.type("$P debugged.py\n");
    await_text(terminal, "(Pdb) ");
    for (const char* command : {"where", "next", "p x", "up"}) {
      terminal.type(std::string(command) + "\n");
      await_text(terminal, "(Pdb) ");
    }
    terminal.type("continue\n");
    await_text(terminal, kPrompt);
    terminal.type("$P -m pdb debugged.py\n");
    await_text(terminal, "(Pdb) ");
    terminal.type("where\n");
    await_text(terminal, "(Pdb) ");
    terminal.enter("quit");
  });
}

TEST_P(Terminals, Curses) {
  program("screen.py",
          "import curses\n"
          "def main(screen):\n"
          "    screen.addstr(2, 2, 'on the screen')\n"
          "    screen.refresh()\n"
          "    return screen.getch(), screen.getmaxyx()\n"
          "print(curses.wrapper(main))\n");
  expect_same(2, [](Terminal& terminal) {
    terminal.type("TERM=vt100 $P screen.py\n");
    await_text(terminal, "on the screen");
    terminal.type("k");
    await_text(terminal, kPrompt);
    terminal.type("TERM=vt100 $P screen.py\n");
    await_text(terminal, "on the screen");
    terminal.type("k");
    await_text(terminal, kPrompt);
    terminal.enter("stty -a");
  });
}

// Waits until the process whose pid the file "pid" has waits for a key. Just before, Python itself may miss
// an interrupt.
bool await_reading() {
  const std::string path = "/proc/" + read_file(work_dir() + "/pid") + "/syscall";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
  while (std::chrono::steady_clock::now() < deadline) {
    const std::string call = read_file(path);  // "0 0x0 ...", or "running"
    for (const long waiting : {SYS_read, SYS_select, SYS_pselect6, SYS_poll, SYS_ppoll}) {
      if (call.starts_with(std::to_string(waiting) + " ")) return true;
    }
    std::this_thread::yield();
  }
  return false;
}

TEST_P(Terminals, InterruptAtADebugger) {
  program("debugged.py",
          "import os\nopen('pid', 'w').write(str(os.getpid()))\nx = 1\nbreakpoint()\nprint('x is', x)\n");
  expect_same(1, [](Terminal& terminal) {
    terminal.type("$P debugged.py\n");
    await_text(terminal, "(Pdb) ");
    EXPECT_TRUE(await_reading());
    terminal.type(kInterrupt);
    await_text(terminal, "(Pdb) ");
    terminal.type("p x\n");
    await_text(terminal, "(Pdb) ");
    terminal.type("continue\n");
    await_text(terminal, kPrompt);
    terminal.enter("stty -a");
  });
}

// Curses stops by itself, when it has left its screen. What is drawn again, and how, is its own affair.
TEST_P(Terminals, SuspendWithinCurses) {
  program("screen.py",
          "import curses, os\n"
          "open('pid', 'w').write(str(os.getpid()))\n"
          "def main(screen):\n"
          "    screen.addstr(2, 2, 'on the screen')\n"
          "    screen.refresh()\n"
          "    while True:\n"
          "        key = screen.getch()\n"
          "        if key == ord('q'): return 'left'\n"
          "        screen.addstr(4, 2, 'a key')\n"
          "        screen.refresh()\n"
          "print(curses.wrapper(main))\n");
  expect_same(1, [](Terminal& terminal) {
    terminal.type("TERM=vt100 $P screen.py\n");
    await_text(terminal, "on the screen");
    terminal.type("k");
    await_text(terminal, "a key");
    EXPECT_TRUE(await_reading());
    terminal.type(kSuspend);
    await_text(terminal, kPrompt);
    terminal.enter("stty -a");
    terminal.type("fg\n");
    await_text(terminal, "a key");
    terminal.type("q");
    await_text(terminal, "left");
    await_text(terminal, kPrompt);
    terminal.enter("stty -a");
  });
}

// Notes its pid and its hang-up in files, for there may be no terminal left to show it on.
constexpr const char* kNoteHangUp =
    "import os, signal, sys\n"
    "def note(*_):\n"
    "    open('noted', 'w').write('hung up')\n"
    "    os._exit(0)\n"
    "signal.signal(signal.SIGHUP, note)\n"
    "open('pid', 'w').write(str(os.getpid()))\n"
    "print('ready')\n"
    "open('pipe').read()\n"
    "open('noted', 'w').write('went on')\n";

std::string await_file(const std::string& name) {
  std::string text;
  EXPECT_TRUE(await([&] { return !(text = read_file(work_dir() + "/" + name)).empty(); })) << name;
  return text;
}

pid_t parent_of(pid_t pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  return std::stoi(stat.substr(stat.rfind(')') + 4));
}

TEST_P(Terminals, HangUp) {
  program("note.py", kNoteHangUp);
  for (const std::string& run : {python().path, under_kiln(python())}) {
    write_file(work_dir() + "/noted", "");
    show(run, [](Terminal& terminal) {
      terminal.type("$P note.py\n");
      await_text(terminal, kReady);
      terminal.hang_up();
    });
    EXPECT_EQ(await_file("noted"), "hung up") << run;
  }
}

// A stopped job hears of the end of the shell that could have continued it, leader of the session or not.
TEST_P(Terminals, TheShellLeavesAStoppedJob) {
  program("note.py", kNoteHangUp);
  for (const std::string& run : {python().path, under_kiln(python())}) {
    for (const bool is_nested : {false, true}) {
      write_file(work_dir() + "/noted", "");
      show(run, [&](Terminal& terminal) {
        if (is_nested) terminal.enter("dash -i");
        terminal.type("$P note.py\n");
        await_text(terminal, kReady);
        terminal.type(kSuspend);
        await_text(terminal, kPrompt);
        terminal.enter("exit");
        terminal.type("exit\n");
        if (is_nested || shell().name == std::string("dash")) {
          EXPECT_EQ(await_file("noted"), "hung up") << run;
        }
        EXPECT_TRUE(wait_gone(std::stoi(await_file("pid"))));
      });
    }
  }
}

// nohup, or not: the shell's end is none of the background's business. Images take no new work, and end last.
TEST_P(Terminals, TheShellLeavesARunningJob) {
  program("note.py", kNoteHangUp);
  for (const std::string& run : {python().path, under_kiln(python())}) {
    for (const std::string prefix : {"nohup ", ""}) {
      write_file(work_dir() + "/noted", "");
      write_file(work_dir() + "/pid", "");
      pid_t image = 0;
      show(run, [&](Terminal& terminal) {
        terminal.enter(prefix + "$P note.py > out 2>&1 &");
        image = parent_of(std::stoi(await_file("pid")));
        terminal.type("exit\n");
        terminal.wait();
      });
      EXPECT_EQ(read_file(work_dir() + "/noted"), "");
      if (run != python().path) {
        EXPECT_FALSE(wait_gone(image, 0));
      }
      write_file(work_dir() + "/pipe", "go on");
      EXPECT_EQ(await_file("noted"), "went on") << prefix << run;
      if (run != python().path) {
        EXPECT_TRUE(wait_gone(image));
      }
    }
  }
}

// Its group is orphaned by then: python's read fails, and an image's program is hung up (README).
TEST_P(Terminals, ReadAfterTheJobsShellHasEnded) {
  program("late.py",
          "import os\n"
          "open('pid', 'w').write(str(os.getpid()))\n"
          "open('pipe').read()\n"
          "try: os.read(0, 1)\n"
          "except OSError as error: open('noted', 'w').write(error.strerror)\n");
  ASSERT_EQ(::mkfifo((work_dir() + "/second").c_str(), 0600), 0);
  for (const std::string& run : {python().path, under_kiln(python())}) {
    write_file(work_dir() + "/noted", "");
    write_file(work_dir() + "/pid", "");
    show(run, [&](Terminal& terminal) {
      terminal.type("/bin/dash -m -c '$P late.py 2> /dev/null & read x < second'\n");
      const pid_t pid = std::stoi(await_file("pid"));
      write_file(work_dir() + "/second", "end\n");
      await_text(terminal, kPrompt);
      write_file(work_dir() + "/pipe", "go on");
      EXPECT_TRUE(wait_gone(pid)) << run;
    });
    EXPECT_EQ(read_file(work_dir() + "/noted"), run == python().path ? "Input/output error" : "") << run;
  }
}

// Leaves the terminal in a mode of its own.
constexpr const char* kChangeModes =
    "import os, signal, sys, tty\n"
    "sys.tracebacklimit = 0\n"
    "tty.setcbreak(0)\n"
    "open('pid', 'w').write(str(os.getpid()))\n"
    "print('ready')\n"
    "how = sys.stdin.readline()\n"
    "if how == 'exit\\n': sys.exit(9)\n"
    "if how == '_exit\\n': os._exit(7)\n"
    "os.kill(os.getpid(), signal.SIGTERM)\n";

// What is typed may not be echoed any more.
void show_what_is_left(Terminal& terminal) {
  terminal.type("echo $?; stty -a; stty sane\n");
  await_text(terminal, kPrompt);
}

TEST_P(Terminals, KillOfTheProgram) {
  program("modes.py", kChangeModes);
  expect_same(1, [](Terminal& terminal) {
    terminal.type("$P modes.py\n");
    await_text(terminal, kReady);
    kill_process(std::stoi(await_file("pid")), SIGKILL);
    await_text(terminal, kPrompt);
    show_what_is_left(terminal);
  });
}

TEST_P(Terminals, KillOfTheClient) {
  program("modes.py", kChangeModes);
  expect_same(1, [](Terminal& terminal) {
    terminal.type("$P modes.py\n");
    await_text(terminal, kReady);
    kill_process(terminal.foreground(), SIGKILL);  // what the shell started leads the group
    await_text(terminal, kPrompt);
    EXPECT_TRUE(wait_gone(std::stoi(await_file("pid"))));  // or it might still read what is typed
    show_what_is_left(terminal);
  });
}

TEST_P(Terminals, TheDaemonIsKilled) {
  program("modes.py", kChangeModes);
  expect_same(1, [](Terminal& terminal) {
    terminal.type("$P modes.py\n");
    await_text(terminal, kReady);
    if (const pid_t daemon = daemon_pid(); daemon > 0) kill_process(daemon, SIGKILL);  // python needs none
    terminal.type("exit\n");                                                           // not echoed
    await_text(terminal, kPrompt);
    show_what_is_left(terminal);
  });
}

// Linux tells how the program ended (PIDFD_INFO_EXIT, 6.15).
bool kernel_tells_of_ends() {
  utsname name{};
  ::uname(&name);
  int major = 0;
  int minor = 0;
  return std::sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
         std::pair(major, minor) >= std::pair(6, 15);
}

TEST_P(Terminals, KillOfTheImage) {
  program("modes.py", kChangeModes);
  std::vector<std::string> ends{"exit"};
  if (kernel_tells_of_ends()) ends.insert(ends.end(), {"_exit", "die", kInterrupt});
  for (const std::string& end : ends) {
    expect_same(1, [&](Terminal& terminal) {
      terminal.type("$P modes.py\n");
      await_text(terminal, kReady);
      const pid_t pid = std::stoi(await_file("pid"));
      const pid_t image = parent_of(pid);
      if (image != terminal.leader()) {
        kill_process(image, SIGKILL);
        EXPECT_TRUE(wait_gone(image));
      }
      terminal.type(end == kInterrupt ? end : end + "\n");
      EXPECT_TRUE(wait_gone(pid));
      if (image != terminal.leader()) ::waitpid(pid, nullptr, 0);  // orphans are adopted here
      await_text(terminal, kPrompt);
      show_what_is_left(terminal);
    });
  }
}

std::string name(const testing::TestParamInfo<std::tuple<Shell, Python>>& info) {
  return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param).name;
}
INSTANTIATE_TEST_SUITE_P(Each, Terminals,
                         testing::Combine(testing::ValuesIn(shells()), testing::Values(any_python())), name);

// `kiln shell-init`: the first run in a new terminal finds an image.
TEST(ShellInit, WarmsWhatIsRunMostOften) {
  const std::string script = work_dir() + "/used.py";
  write_file(script, "import json\n");
  std::filesystem::remove(home_dir() + "/kiln.toml");  // which says that no runs are recorded
  kiln({"daemon", "restart"});
  const std::string python = any_python().path;
  ASSERT_TRUE(
      run_until_bare(any_python(), {script}, environment_with({"KILN_PYTHON=" + python})).is_served());
  ASSERT_TRUE(await([&] { return kiln({"warm", "--most-used"}).out.find("used.py") != std::string::npos; }));
  const std::string bin = std::filesystem::path(kiln_binary()).parent_path();
  const auto hook = [&](const std::string& shell, const std::string& file, const std::string& text) {
    write_file(home_dir() + "/" + file, "PATH='" + bin + "':$PATH\nPS1='" + kPrompt + "'\n" + text + "\n");
    return std::pair(shell, home_dir() + "/" + file);
  };
  const std::vector<std::pair<std::string, std::vector<std::string>>> found{
      {"bash",
       {"/bin/bash", "--noprofile", "--noediting", "--rcfile",
        hook("bash", "bashrc", "eval \"$(kiln shell-init bash)\"").second, "-i"}},
      {"zsh", {"/bin/zsh", "-i", "+Z", "+o", "PROMPT_SP"}}};
  hook("zsh", ".zshrc", "eval \"$(kiln shell-init zsh)\"");
  for (const auto& [name, argv] : found) {
    if (::access(argv[0].c_str(), X_OK) != 0) continue;
    SCOPED_TRACE(name);
    Terminal terminal(argv, environment_with({"KILN_PYTHON=" + python, "ZDOTDIR=" + home_dir(), "TERM=dumb",
                                              "HISTFILE=/dev/null", std::string("PS1=") + kPrompt}));
    ASSERT_TRUE(terminal.wait_for(kPrompt));
    EXPECT_EQ(comparable(terminal.output()).find("["), std::string::npos)
        << "a job is told: " << terminal.output();
    const std::string jobs = terminal.enter("jobs");
    EXPECT_EQ(jobs.find("kiln warm"), std::string::npos) << jobs;
    std::string said;  // of a run in this session
    EXPECT_TRUE(await([&] {
      said = terminal.enter("kiln explain run " + script);
      return said.find("Bare: ") != std::string::npos;
    })) << said;
    const std::string first = terminal.enter("kiln run " + script);
    EXPECT_NE(first.find("reason=served"), std::string::npos) << first;
  }
  write_file(home_dir() + "/kiln.toml", "watch.policy = \"none\"\n");
}

TEST(ShellInit, KnowsThreeShells) {
  EXPECT_NE(kiln({"shell-init", "fish"}).out.find("kiln warm --most-used --quiet &"), std::string::npos);
  const Outcome unknown = kiln({"shell-init", "tcsh"});
  EXPECT_EQ(describe_status(unknown.status), "exit 2");
}

}  // namespace
}  // namespace kiln::e2e
