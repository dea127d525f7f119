// Which interpreter runs, and why a run is not served: the rules of the command line.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSayWho = "import sys; print(sys.executable, sys.prefix, sys.version)";

constexpr int kNotAllowed = 99;

class Choice : public testing::Test {
 protected:
  void SetUp() override { reset_work_dir(); }

  // A directory on PATH of its own, in which NAME leads to TARGET.
  static std::string dir_with_link(const std::string& dir, const std::string& name,
                                   const std::string& target) {
    const std::string path = work_dir() + "/" + dir;
    fs::create_directories(path);
    fs::create_symlink(target, path + "/" + name);
    return path;
  }

  static std::string ask(const std::vector<std::string>& changes) {
    return kiln({"run", "-c", kSayWho}, changes).out;
  }

  static const Python& last_python() { return interpreters().back(); }
};

TEST_F(Choice, TakesTheFirstPython3OnPath) {
  const std::string dir = dir_with_link("bin", "python3", last_python().path);
  const std::string expected = run({.argv = {dir + "/python3", "-c", kSayWho}}).out;
  EXPECT_NE(expected, "");
  EXPECT_EQ(ask({"PATH=" + dir + ":/usr/bin:/bin"}), expected);
}

TEST_F(Choice, PrefersTheVirtualEnvironment) {
  const std::string venv = work_dir() + "/venv";
  run({.argv = {last_python().path, "-m", "venv", "--without-pip", venv}});
  const std::string expected = run({.argv = {venv + "/bin/python", "-c", kSayWho}}).out;
  EXPECT_NE(expected.find(venv), std::string::npos) << expected;
  EXPECT_EQ(ask({"VIRTUAL_ENV=" + venv}), expected);
}

TEST_F(Choice, PrefersTheVariableToTheVirtualEnvironment) {
  EXPECT_EQ(ask({"VIRTUAL_ENV=/nowhere", "KILN_PYTHON=" + last_python().path}),
            python_output(last_python(), kSayWho));
}

TEST_F(Choice, PrefersTheOptionToAll) {
  const Outcome outcome = kiln({"run", "--python", last_python().path, "-c", kSayWho},
                               {"VIRTUAL_ENV=/nowhere", "KILN_PYTHON=/nowhere"});
  EXPECT_EQ(outcome.out, python_output(last_python(), kSayWho));
}

TEST_F(Choice, TakesAVersionOrTheDirectoryOfAnEnvironment) {
  const std::string version = "3." + std::to_string(last_python().minor);
  const std::string path = "PATH=" + dir_with_link("bin", "python" + version, last_python().path);
  const std::string expected = run({.argv = {work_dir() + "/bin/python" + version, "-c", kSayWho}}).out;
  EXPECT_EQ(kiln({"run", "--python", version, "-c", kSayWho}, {path}).out, expected);
  const std::string venv = work_dir() + "/venv";
  run({.argv = {last_python().path, "-m", "venv", "--without-pip", venv}});
  const std::string in_venv = run({.argv = {venv + "/bin/python", "-c", kSayWho}}).out;
  for (const std::string dir : {"venv", "./venv/"}) {
    EXPECT_EQ(kiln({"run", "--python", dir, "-c", "import sys; print(sys.prefix)"}).out, venv + "\n");
  }
  EXPECT_EQ(kiln({"run", "--python", venv, "-c", kSayWho}).out, in_venv);
}

TEST_F(Choice, MissingInterpreterIsAnError) {
  const Outcome outcome = kiln({"run", "--python", "/no/such/python", "-c", "pass"});
  EXPECT_NE(outcome.status, 0);
  EXPECT_NE(outcome.err.find("error: "), std::string::npos) << outcome.err;
}

// A link named python3 stands for the python3 that comes next on PATH, and never calls itself.
TEST_F(Choice, DropInStandsForTheNextOnPath) {
  const std::vector<std::string> names{"python3", "python", "python3." + std::to_string(last_python().minor)};
  for (const std::string& name : names) {
    reset_work_dir();
    const std::string links = dir_with_link("links", name, kiln_binary());
    const std::string real = dir_with_link("real", name, last_python().path);
    const std::string path = "PATH=" + links + ":" + real + ":/usr/bin:/bin";
    const std::vector<std::string> program{"-c", kSayWho + std::string("\nprint(sys.argv)\nsys.exit(9)"), "x",
                                           "--python"};
    Invocation python{.argv = {real + "/" + name}, .environment = environment_with({path})};
    Invocation drop_in{.argv = {links + "/" + name}, .environment = environment_with({path})};
    for (Invocation* each : {&python, &drop_in})
      each->argv.insert(each->argv.end(), program.begin(), program.end());
    const Outcome expected = run(python);
    Outcome outcome = run(drop_in);
    EXPECT_NE(take_log_line(outcome.err).mode, "") << outcome.err;
    EXPECT_EQ(outcome.out, expected.out);
    EXPECT_EQ(outcome.err, expected.err);
    EXPECT_EQ(describe_status(outcome.status), "exit 9");
  }
}

TEST_F(Choice, DropInIsServedWarm) {
  const std::string links = dir_with_link("links", "python3", kiln_binary());
  const std::string real = dir_with_link("real", "python3", last_python().path);
  const Invocation invocation{.argv = {links + "/python3", programs_dir() + "/hello.py"},
                              .environment = environment_with({"PATH=" + links + ":" + real})};
  LogLine log;
  for (int i = 0; i < 200 && !log.is_served(); ++i) {
    Outcome outcome = run(invocation);
    ASSERT_EQ(outcome.out, "hello\n");
    log = take_log_line(outcome.err);
  }
  EXPECT_TRUE(log.is_served()) << log.line;
}

TEST_F(Choice, DropInOfItselfAloneIsAnError) {
  const std::string links = dir_with_link("links", "python3", kiln_binary());
  const Outcome outcome =
      run({.argv = {links + "/python3", "-c", "pass"}, .environment = environment_with({"PATH=" + links})});
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_NE(outcome.status, 0);
}

TEST_F(Choice, UnservedVersionsAreExecuted) {
  for (const Python& python : unserved_interpreters()) {
    Outcome outcome = kiln({"run", "--python", python.path, "-c", "import sys; print(sys.version_info[:2])"});
    const LogLine log = take_log_line(outcome.err);
    EXPECT_EQ(log.mode, "exec") << python.path;
    EXPECT_EQ(outcome.out, python_output(python, "import sys; print(sys.version_info[:2])")) << python.path;
    EXPECT_EQ(describe_status(outcome.status), "exit 0") << outcome.err;
  }
}

// The word in the log line. The program runs all the same.
class Refusals : public testing::Test {
 protected:
  void SetUp() override {
    reset_work_dir();
    run_until_bare(any_python(), {"-c", "pass"}, base_environment());
  }

  static void expect_reason(const std::string& reason, const std::vector<std::string>& changes,
                            std::function<void()> in_child = {}) {
    Outcome outcome = run({.argv = {kiln_binary(), "run", "--python", any_python().path, "-c", "print(1)"},
                           .environment = environment_with(changes),
                           .in_child = std::move(in_child)});
    const LogLine log = take_log_line(outcome.err);
    EXPECT_EQ(log.mode, "exec") << log.line;
    EXPECT_EQ(log.reason, reason) << log.line;
    EXPECT_EQ(outcome.out, "1\n");
    EXPECT_EQ(outcome.err, "");
  }
};

TEST_F(Refusals, Disabled) {
  expect_reason("disabled", {"KILN_DISABLE=1"});
}
TEST_F(Refusals, Supervised) {
  expect_reason("supervised", {"NOTIFY_SOCKET=/run/systemd/notify"});
}
TEST_F(Refusals, Instrumented) {
  expect_reason("instrumented", {"COVERAGE_PROCESS_START=x"});
}

TEST_F(Refusals, Limited) {
  expect_reason("limited", {}, [] {
    const rlimit limit{rlim_t{8} << 30, RLIM_INFINITY};
    ::setrlimit(RLIMIT_AS, &limit);
  });
}

TEST_F(Refusals, TooManyDescriptors) {
  expect_reason("descriptors", {}, [] {
    for (int i = 0; i < 300; ++i) (void)::open("/dev/null", O_RDONLY);
  });
}

// A pseudo terminal becomes the child's controlling terminal; the standard streams stay pipes.
TEST_F(Refusals, OrphanedOnATerminal) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(terminal, 0);
  ASSERT_EQ(::grantpt(terminal), 0);
  ASSERT_EQ(::unlockpt(terminal), 0);
  const std::string name = ::ptsname(terminal);
  expect_reason("orphaned", {}, [name] {
    ::setsid();
    const int slave = ::open(name.c_str(), O_RDWR);
    ::ioctl(slave, TIOCSCTTY, 0);
    ::close(slave);
  });
  ::close(terminal);
}

// A debugger that started the client means the program. The test is the tracer: it lets go on whatever stops.
TEST_F(Refusals, Traced) {
  Process process(
      {.argv = {kiln_binary(), "run", "--python", any_python().path, "-c", "print(1)"}, .in_child = [] {
         if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(kNotAllowed);
       }});
  int status = 0;
  while (::waitpid(process.pid(), &status, 0) > 0 && WIFSTOPPED(status)) {
    const long signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
    ::ptrace(PTRACE_CONT, process.pid(), nullptr, signal);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotAllowed) GTEST_SKIP() << "ptrace is not allowed here";
  Outcome outcome = process.finish();
  const LogLine log = take_log_line(outcome.err);
  EXPECT_EQ(log.reason, "traced") << log.line;
  EXPECT_EQ(outcome.out, "1\n");
}

// The first process of a PID namespace, as in a container: its parent is a process that waits outside.
TEST_F(Refusals, FirstProcess) {
  Outcome outcome = run(
      {.argv = {kiln_binary(), "run", "--python", any_python().path, "-c", "import os; print(os.getpid())"},
       .environment = base_environment(),
       .in_child = [] {
         if (::unshare(CLONE_NEWPID) != 0) ::_exit(kNotAllowed);
         const pid_t first = ::fork();
         if (first == 0) return;
         int status = 0;
         ::waitpid(first, &status, 0);
         ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
       }});
  if (outcome.status == kNotAllowed << 8) GTEST_SKIP() << "PID namespaces are not allowed here";
  const LogLine log = take_log_line(outcome.err);
  EXPECT_EQ(log.reason, "init") << log.line << outcome.err;
  EXPECT_EQ(outcome.out, "1\n");
}

// AT_SECURE: a client with the set-user-ID bit of a user who is not the one that starts it.
TEST_F(Refusals, RaisedPrivileges) {
  constexpr uid_t kNobody = 65534;
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file to another user";
  const std::string client = work_dir() + "/kiln";
  fs::copy_file(kiln_binary(), client);
  ASSERT_EQ(::chown(client.c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(::chmod(client.c_str(), 04755), 0);
  Outcome outcome =
      run({.argv = {client, "run", "--python", "/usr/bin/python3", "-c", "import os; print(os.geteuid())"},
           .environment = base_environment()});
  const LogLine log = take_log_line(outcome.err);
  EXPECT_EQ(log.reason, "secure") << log.line << outcome.err;
  EXPECT_EQ(outcome.out, "65534\n");
}

TEST_F(Refusals, InterpreterThatIsAScript) {
  const std::string shim = work_dir() + "/python3";
  write_file(shim, "#!/bin/sh\nexec '" + any_python().path + "' \"$@\"\n");
  fs::permissions(shim, fs::perms::owner_all);
  Outcome outcome = kiln({"run", "--python", shim, "-c", "print(1)"});
  const LogLine log = take_log_line(outcome.err);
  EXPECT_EQ(log.reason, "interpreter-script") << log.line;
  EXPECT_EQ(outcome.out, "1\n");
}

TEST_F(Refusals, MainScriptThatDoesNotCompile) {
  Outcome outcome = kiln({"run", "--python", any_python().path, programs_dir() + "/broken_syntax.py"});
  const LogLine log = take_log_line(outcome.err);
  EXPECT_EQ(log.reason, "compile-error") << log.line;
  EXPECT_EQ(log.line.find("(("), std::string::npos) << log.line;  // a sentence, no tuple
  EXPECT_NE(outcome.err.find("SyntaxError"), std::string::npos);
}

TEST_F(Refusals, RuntimeDirectoryThatCannotExist) {
  Outcome outcome =
      kiln({"run", "--python", any_python().path, "-c", "print(1)"}, {"KILN_RUNTIME_DIR=/proc/nowhere"});
  EXPECT_EQ(take_log_line(outcome.err).mode, "exec");
  EXPECT_EQ(outcome.out, "1\n");
  EXPECT_EQ(outcome.err, "");
}

// A socket in a directory that others may write to could be anybody's.
TEST_F(Refusals, RuntimeDirectoryOpenToOthers) {
  const std::string dir = work_dir() + "/open";
  ::mkdir(dir.c_str(), 0777);
  ::chmod(dir.c_str(), 0777);
  Outcome outcome =
      kiln({"run", "--python", any_python().path, "-c", "print(1)"}, {"KILN_RUNTIME_DIR=" + dir});
  EXPECT_EQ(take_log_line(outcome.err).mode, "exec");
  EXPECT_EQ(outcome.out, "1\n");
  EXPECT_FALSE(fs::exists(dir + "/kilnd.sock"));
}

TEST_F(Refusals, RuntimeDirectoryOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  const std::string dir = work_dir() + "/foreign";
  ::mkdir(dir.c_str(), 0700);
  ASSERT_EQ(::chown(dir.c_str(), 65534, 65534), 0);
  Outcome outcome =
      kiln({"run", "--python", any_python().path, "-c", "print(1)"}, {"KILN_RUNTIME_DIR=" + dir});
  EXPECT_EQ(take_log_line(outcome.err).mode, "exec");
  EXPECT_EQ(outcome.out, "1\n");
  EXPECT_FALSE(fs::exists(dir + "/kilnd.sock"));
}

// Without KILN_LOG nothing is added to what the program writes.
TEST_F(Refusals, SilentByDefault) {
  for (const std::string change : {"KILN_LOG", "KILN_LOG=0"}) {
    const Outcome outcome =
        kiln({"run", "--python", any_python().path, "-c", "print(1)"}, {change, "KILN_DISABLE=1"});
    EXPECT_EQ(outcome.out, "1\n");
    EXPECT_EQ(outcome.err, "") << change;
  }
}

}  // namespace
}  // namespace kiln::e2e
