// What a process inherits besides arguments and environment: descriptors, directories, masks, limits,
// streams.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "tests/e2e/table.h"

namespace kiln::e2e {
namespace {

void ignore(std::initializer_list<int> numbers) {
  for (const int number : numbers) std::signal(number, SIG_IGN);
}

void block(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

void soften(int resource, rlim_t value) {
  rlimit limit{};
  ::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
  limit.rlim_cur = value;
  ::setrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
}

// COUNT descriptors of /dev/null, as a shell's redirections would leave them: inherited.
void open_many(int count) {
  for (int i = 0; i < count; ++i) (void)::open("/dev/null", O_RDONLY);
}

void enter_deleted_directory() {
  ::mkdir("gone", 0755);
  if (::chdir("gone") != 0 || ::rmdir("../gone") != 0) ::_exit(126);
}

void move_to(int from, int to) {
  ::dup2(from, to);
  ::close(from);
}

// Descriptors with gaps, offsets and flags: a file at number 50, a pipe at 60 and 61, an append-only file
// at 70. High numbers, since the test's own descriptors, gone at exec, still hold the low ones.
void inherit_descriptors() {
  const int file = ::open("/etc/passwd", O_RDONLY);
  ::lseek(file, 7, SEEK_SET);
  move_to(file, 50);
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) ::_exit(126);
  move_to(ends[0], 60);
  move_to(ends[1], 61);
  move_to(::open("appended.log", O_WRONLY | O_CREAT | O_APPEND, 0600), 70);
}

void use_one_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

Row process(const std::string& name, std::function<void()> in_child, Expect expect = Expect::bare) {
  return {.name = name, .target = {"dump_process.py"}, .expect = expect, .in_child = std::move(in_child)};
}

// What prctl(2) says of the process, by the number of the question.
constexpr const char* kPrintFlag =
    "import ctypes, sys; flag = ctypes.c_int(); "
    "ctypes.CDLL(None).prctl(int(sys.argv[1]), ctypes.byref(flag), 0, 0, 0); print(flag.value)";

std::vector<Row> state_rows() {
  Row deleted = process("deleted_directory", enter_deleted_directory);
  deleted.target = {"{cwd}/dump_process.py"};
  deleted.with = {"dump_process.py"};
  Row lost_command = {.name = "deleted_directory_command",
                      .target = {"-c", "import sys; print(sys.path)\nimport os; os.getcwd()"},
                      .in_child = enter_deleted_directory};
  return {
      process("plain", {}),
      process("umask", [] { ::umask(0077); }),
      process("ignored_signals",
              [] {
                ignore({SIGINT, SIGPIPE, SIGHUP, SIGTERM, SIGQUIT, SIGUSR1});
              }),
      process("ignored_sigpipe", [] { ignore({SIGPIPE}); }),
      process(
          "ignored_child", [] { ignore({SIGCHLD}); }, Expect::any),
      process("blocked_signals",
              [] {
                block({SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGALRM});
              }),
      process("soft_limits",
              [] {
                soften(RLIMIT_NOFILE, 100);
                soften(RLIMIT_FSIZE, 1 << 20);
                soften(RLIMIT_CPU, 1000);
              }),
      process(
          "limited_address_space", [] { soften(RLIMIT_AS, rlim_t{4} << 30); }, Expect::exec),
      process(
          "limited_data", [] { soften(RLIMIT_DATA, rlim_t{4} << 30); }, Expect::exec),
      process(
          "soft_stack", [] { soften(RLIMIT_STACK, 16 << 20); }, Expect::any),
      process("affinity", use_one_cpu),
      process(
          "nice", [] { (void)::nice(3); }, Expect::any),
      process("oom_score", [] { write_file("/proc/self/oom_score_adj", "500"); }),
      process("descriptors", inherit_descriptors),
      process("descriptors_200", [] { open_many(200); }),
      process(
          "descriptors_300", [] { open_many(300); }, Expect::exec),
      process("own_group", [] { ::setpgid(0, 0); }),
      deleted,
      lost_command,
      {.name = "ignored_sigint_is_no_keyboard_interrupt",
       .target = {"-c",
                  "import signal, os; print(signal.getsignal(2)); os.kill(os.getpid(), 2); print('alive')"},
       .in_child = [] { ignore({SIGINT}); }},
      {.name = "file_size_limit",
       .target = {"-c",
                  "import os\nwith open('big', 'wb', 0) as file:\n    print(file.write(b'x' * 5000))\n    "
                  "file.write(b'y')"},
       .in_child = [] { soften(RLIMIT_FSIZE, 1000); }},
      {.name = "writes_to_inherited_descriptors",
       .target = {"-c",
                  "import os; os.write(70, b'appended'); print(os.read(50, 4)); os.close(61); "
                  "print(os.read(60, 1))"},
       .in_child = inherit_descriptors},
      {.name = "umask_of_new_files",
       .target =
           {"-c",
            "import os; open('f', 'w'); os.mkdir('d'); print(os.stat('f').st_mode, os.stat('d').st_mode)"},
       .in_child = [] { ::umask(0027); }},
      {.name = "umask_of_bytecode",
       .target = {"-c", "import os, imported; print(oct(os.stat(imported.__cached__).st_mode))"},
       .with = {"imported.py"},
       .in_child = [] { ::umask(0077); }},
      {.name = "signal_of_parents_death",
       .target = {"-c", kPrintFlag, "2"},  // PR_GET_PDEATHSIG
       .expect = Expect::exec,
       .in_child = [] { ::prctl(PR_SET_PDEATHSIG, SIGUSR1); }},
      {.name = "child_subreaper",
       .target = {"-c", kPrintFlag, "37"},  // PR_GET_CHILD_SUBREAPER
       .expect = Expect::exec,
       .in_child = [] { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }},
      {.name = "supervised_listen", .target = {"hello.py"}, .expect = Expect::exec, .env = {"LISTEN_PID=1"}},
      {.name = "supervised_notify",
       .target = {"hello.py"},
       .expect = Expect::exec,
       .env = {"NOTIFY_SOCKET=/nowhere"}},
      {.name = "supervised_watchdog",
       .target = {"hello.py"},
       .expect = Expect::exec,
       .env = {"WATCHDOG_PID=1"}},
      {.name = "coverage",
       .target = {"hello.py"},
       .expect = Expect::exec,
       .env = {"COVERAGE_PROCESS_START=x"}},
      {.name = "disabled", .target = {"hello.py"}, .expect = Expect::exec, .env = {"KILN_DISABLE=1"}},
  };
}
KILN_TABLE(State, state_rows());

const std::vector<Row> kStreams = {
    {.name = "stdin_pipe",
     .target = {"read_stdin.py"},
     .in = Stream::pipe,
     .input = "first\nsecond\r\nthird\nlast"},
    {.name = "stdin_file", .target = {"read_stdin.py"}, .in = Stream::file, .input = "first\nsecond\nthird"},
    {.name = "stdin_empty", .target = {"-c", "print(repr(input()))"}},
    {.name = "stdin_bytes",
     .target = {"read_stdin_bytes.py"},
     .in = Stream::pipe,
     .input = std::string("\xff\x00\xfe\x01rest of it", 14)},
    {.name = "stdin_not_utf8",
     .target = {"-c", "import sys; print(ascii(sys.stdin.read()))"},
     .in = Stream::file,
     .input = "caf\xe9"},
    {.name = "stdin_large",
     .target = {"read_stdin_bytes.py"},
     .in = Stream::file,
     .input = std::string(1 << 20, 'x')},
    {.name = "stdin_closed", .target = {"dump_sys.py"}, .in = Stream::closed},
    {.name = "stdin_closed_process", .target = {"dump_process.py"}, .in = Stream::closed},
    {.name = "stdin_directory", .target = {"dump_sys.py"}, .expect = Expect::any, .in = Stream::directory},
    {.name = "stdout_closed", .target = {"dump_streams.py"}, .out = Stream::closed},
    {.name = "stdout_closed_printing", .target = {"hello.py"}, .out = Stream::closed},
    {.name = "stderr_closed", .target = {"dump_sys.py"}, .err = Stream::closed, .reads_log = false},
    {.name = "stderr_closed_error", .target = {"uncaught.py"}, .err = Stream::closed, .reads_log = false},
    {.name = "all_closed",
     .target = {"-c", "import os, sys; open('out', 'w').write(repr((sys.stdin, sys.stdout)))"},
     .in = Stream::closed,
     .out = Stream::closed,
     .err = Stream::closed,
     .reads_log = false},
    {.name = "outputs_are_files", .target = {"dump_sys.py"}, .out = Stream::file, .err = Stream::file},
    {.name = "outputs_are_files_error", .target = {"uncaught.py"}, .out = Stream::file, .err = Stream::file},
    {.name = "interleaved_in_one_pipe",
     .target = {"interleaved.py"},
     .env = {"KILN_LOG"},
     .err = Stream::with_stdout,
     .reads_log = false},
    {.name = "interleaved_in_one_file",
     .target = {"interleaved.py"},
     .env = {"KILN_LOG"},
     .out = Stream::file,
     .err = Stream::with_stdout,
     .reads_log = false},
    {.name = "stdout_full", .target = {"hello.py"}, .out = Stream::full},
    {.name = "stdout_full_while_printing", .target = {"much_output.py"}, .out = Stream::full},
    {.name = "stdout_full_with_error", .target = {"uncaught.py"}, .out = Stream::full},
    {.name = "stderr_full", .target = {"uncaught.py"}, .err = Stream::full, .reads_log = false},
    {.name = "stdout_broken", .target = {"hello.py"}, .out = Stream::broken_pipe},
    {.name = "stdout_broken_while_printing", .target = {"much_output.py"}, .out = Stream::broken_pipe},
    {.name = "stdout_broken_with_exit_code",
     .target = {"-c", "print(1); raise SystemExit(5)"},
     .out = Stream::broken_pipe},
    {.name = "stdout_broken_and_default_sigpipe",
     .target = {"-c", "import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL)\nprint('x' * 100000)"},
     .out = Stream::broken_pipe},
    {.name = "program_closes_stdout", .target = {"close_streams.py"}},
    {.name = "program_replaces_streams", .target = {"replaced_streams.py"}},
    {.name = "program_closes_sys_stdout",
     .target = {"-c", "import sys; sys.stdout.close(); sys.stderr.close()"}},
    {.name = "program_sets_stdout_to_none", .target = {"-c", "import sys; sys.stdout = None; print(1); 1/0"}},
    {.name = "process_substitution",
     .shell = "PYTHON cat.py <(printf hello) <(printf world)",
     .with = {"cat.py"}},
    {.name = "script_from_process_substitution",
     .shell = "PYTHON <(echo 'print(1 + 1)')",
     .expect = Expect::any},
    {.name = "script_on_dev_stdin",
     .shell = "echo 'print(__file__)' | PYTHON /dev/stdin",
     .expect = Expect::any},
    {.name = "here_document", .shell = "PYTHON read_stdin.py <<< $'one\\ntwo'", .with = {"read_stdin.py"}},
    {.name = "pipeline",
     .shell = "set -o pipefail; PYTHON much_output.py 2>/dev/null | head -n 2",
     .expect = Expect::any,
     .with = {"much_output.py"},
     .reads_log = false},
    {.name = "extra_descriptor",
     .shell = "PYTHON cat.py /proc/self/fd/7 7< data.txt",
     .with = {"cat.py"},
     .files = {{"data.txt", "data"}}},
    {.name = "closed_by_shell", .shell = "PYTHON hello.py 0<&- 1>&-", .with = {"hello.py"}},
};
KILN_TABLE(Streams, kStreams);

// A control group of our own, by cgroups(7): below one of the hierarchies, version 2 before version 1. The
// images in it must have ended before it is removed.
class ControlGroup {
 public:
  ControlGroup() {
    const std::string name = "kiln-test-" + std::to_string(::getpid());
    for (const char* hierarchy : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids"}) {
      path_ = std::string(hierarchy) + "/" + name;
      const bool is_hierarchy = ::access((std::string(hierarchy) + "/cgroup.procs").c_str(), W_OK) == 0;
      if (is_hierarchy && ::mkdir(path_.c_str(), 0755) == 0) return;
    }
    path_.clear();
  }
  ~ControlGroup() {
    if (!is_there()) return;
    kiln({"daemon", "stop"});
    EXPECT_TRUE(await([this] { return ::rmdir(path_.c_str()) == 0; })) << path_;
  }
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;

  bool is_there() const { return !path_.empty(); }
  // The calling process.
  void enter() const { write_file(path_ + "/cgroup.procs", "0"); }

 private:
  std::string path_;
};

// The image of another group would leave the program there, beyond the limits that were set for it.
TEST(ControlGroups, ARunIsInThatOfItsClient) {
  const ControlGroup group;
  if (!group.is_there()) GTEST_SKIP() << "control groups cannot be made here";
  const std::vector<std::string> program{"-c", "print(open('/proc/self/cgroup').read())"};
  ASSERT_EQ(run_until_bare(any_python(), program, base_environment()).reason, "served");
  const auto run_in_group = [&](std::vector<std::string> argv) {
    argv.insert(argv.end(), program.begin(), program.end());
    return run({.argv = argv, .environment = base_environment(), .in_child = [&] { group.enter(); }});
  };
  const std::string expected = run_in_group({any_python().path}).out;
  EXPECT_THAT(expected, testing::HasSubstr("/kiln-test-"));
  std::string reason;
  for (int i = 0; i < 200 && reason != "served"; ++i) {
    Outcome outcome = run_in_group({kiln_binary(), "run", "--python", any_python().path});
    reason = take_log_line(outcome.err).reason;
    ASSERT_EQ(outcome.out, expected) << reason;
  }
  EXPECT_EQ(reason, "served");
}

}  // namespace
}  // namespace kiln::e2e
