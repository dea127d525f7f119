// What every end-to-end test stands on: a private home for one test process (its own daemon, caches and
// session), child processes with exactly the standard streams, environment and state that a test asks for,
// and the interpreters of this machine.
//
// Nothing here sleeps: a child's end, its output and the end of strangers are awaited on descriptors, and
// every wait has a deadline, because a hang is a result too.
#pragma once

#include <sys/types.h>

#include <functional>
#include <iosfwd>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/unique_fd.h"

namespace kiln::e2e {

constexpr int kDeadlineMs = 60'000;  // for one child; hit only by a hang

// A CPython from 3.8 to 3.13 that is a real binary (a version manager's shim is a shell script).
struct Python {
  std::string name;  // py311; unique, fit for a test's name
  std::string path;
  int minor = 0;
};
void PrintTo(const Python& python, std::ostream* out);  // for GoogleTest

// /usr/bin/python3, python3.N on PATH, ~/.pyenv/versions/*; each real binary once.
// KILN_E2E_PYTHONS=py38,py311 narrows the list while one works on a test.
const std::vector<Python>& interpreters();
// The first of them, for what does not depend on the version.
const Python& any_python();
// Binaries of versions that Kiln does not serve, if the machine has one.
const std::vector<Python>& unserved_interpreters();

// The program under test: KILN_UNDER_TEST, else the kiln of this build.
const std::string& kiln_binary();
std::string programs_dir();  // tests/fidelity/programs

// The directories of this test process, gone when it ends.
const std::string& home_dir();     // holds all the others
const std::string& runtime_dir();  // KILN_RUNTIME_DIR
const std::string& cache_dir();    // KILN_CACHE_DIR
std::string work_dir();            // where programs run; re-created under the same name for each run

// NAME=VALUE of a plain environment: PATH, HOME, LANG and KILN_*; nothing of PYTHON*.
std::vector<std::string> base_environment();
// By KILN_TEST_PROGRAMS=true.
bool programs_are_run_ahead();
// The same with CHANGES: "NAME=VALUE" sets, "NAME" alone removes.
std::vector<std::string> environment_with(const std::vector<std::string>& changes);
void apply_change(std::vector<std::string>& environment, const std::string& change);

// Where a standard stream of a child leads. Output streams of kind pipe and file are what a test reads
// afterwards.
enum class Stream { null, pipe, file, closed, full, broken_pipe, directory, with_stdout };

struct Invocation {
  std::vector<std::string> argv;  // argv[0] is the path that is executed
  std::vector<std::string> environment = base_environment();
  std::string cwd = {};  // empty: the work directory
  Stream in = Stream::null;
  std::string input = {};  // what a pipe or file on standard input holds
  Stream out = Stream::pipe;
  Stream err = Stream::pipe;
  std::function<void()> in_child = {};  // runs just before exec: masks, limits, descriptors
};

struct Outcome {
  std::string out;
  std::string err;
  int status = 0;  // wait status, without the core-dump bit
  bool timed_out = false;
};

// How a wait status reads: "exit 3", "signal 15".
std::string describe_status(int status);

// A running child. The destructor kills and reaps what is left.
class Process {
 public:
  explicit Process(const Invocation& invocation);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // Waits until TEXT stands in standard output; false if that ended, or the deadline came, without it.
  bool wait_for_output(std::string_view text);
  // Writes to the pipe on standard input, which is closed by close_input() or finish().
  void write_input(std::string_view text);
  void close_input() { input_.reset(); }
  // Signals the child itself.
  void signal(int number) const;
  // Waits for the end of both output streams and of the child. Whoever holds the streams is waited for, too.
  Outcome finish();
  std::string output() const { return out_; }

 private:
  bool pump();  // one step: false when both streams ended or at the deadline
  void reap();

  pid_t pid_ = -1;
  UniqueFd input_;
  UniqueFd out_pipe_;
  UniqueFd err_pipe_;
  std::string out_file_;
  std::string err_file_;
  std::string out_;
  std::string err_;
  long deadline_ms_ = 0;
  int status_ = 0;
  bool timed_out_ = false;
};

Outcome run(const Invocation& invocation);
// `kiln ARGUMENTS...` and `PYTHON ARGUMENTS...` in the plain environment. What is an error of Kiln's own must
// come with a hint.
Outcome kiln(const std::vector<std::string>& arguments, const std::vector<std::string>& changes = {});
std::string python_output(const Python& python, const std::string& code);

// The one line that KILN_LOG=1 adds, taken out of a standard error.
struct LogLine {
  std::string mode;    // warm, bare, exec
  std::string reason;  // served, no-daemon, ...
  std::string line;
  // By an image: bare, or of the program itself, with KILN_TEST_PROGRAMS=true.
  bool is_served() const { return mode == "bare" || mode == "warm"; }
};
// Takes the line out of ERR. Empty mode: there is not exactly one such line, or it is malformed.
LogLine take_log_line(std::string& err);

// Asks the daemon something until DONE: each answer is an event of its one thread. False at the deadline.
bool await(const std::function<bool()>& done);

// Runs `kiln run --python PYTHON ARGUMENTS` until an image serves it, at most 200 times. The log line of the
// last run.
LogLine run_until_bare(const Python& python, const std::vector<std::string>& arguments,
                       const std::vector<std::string>& environment);

// Files: relative name -> content below DIR. Links read "-> target"; directories have names that end in a
// slash.
std::map<std::string, std::string> snapshot(const std::string& dir);
void write_file(const std::string& path, std::string_view content);
std::string read_file(const std::string& path);
// Empties the work directory, or re-creates it.
void reset_work_dir();

// The daemon's pid by `kiln status --json`, -1 if none answers.
pid_t daemon_pid();
// Processes (none of them this one) whose executable's file name is NAME and who belong to this test.
std::vector<pid_t> own_processes(std::string_view name = {});
std::vector<pid_t> children_of(pid_t pid);
// kill(2) of one process, or of one group. Throws for a number that is none (-1, as an answer that failed, is
// everybody).
void kill_process(pid_t pid, int number);
void kill_group(pid_t group, int number);
// Waits until process PID is gone or a zombie; false at the deadline.
bool wait_gone(pid_t pid, int timeout_ms = kDeadlineMs);

// Creates the directories, leaves any controlling terminal, adopts orphans. Once, from main().
void enter_private_session();
// Stops the daemon, then waits for every process of this test to end. Names those who did not, and kills
// them.
std::vector<std::string> leave_private_session();

}  // namespace kiln::e2e
