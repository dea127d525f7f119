#include "daemon/image/takeover.h"

#include <Python.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "daemon/image/interpreter_state.h"
#include "daemon/image/python_ref.h"
#include "daemon/image/title.h"
#include "daemon/image/whole_file.h"

extern char** environ;

namespace kiln::image {
namespace {

constexpr std::array kImageSignals{SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD};
std::array<struct sigaction, kImageSignals.size()> former_actions;

// The changes that starting makes to an environment: NAME=VALUE of what was set, names of what was removed.
struct EnvironmentChanges {
  std::vector<std::string> set;
  std::vector<std::string> removed;
};

// Of libc's environment, and of os.environ: os.putenv() changes one, dict methods of os.environ._data the
// other.
struct OwnChanges {
  EnvironmentChanges c;
  EnvironmentChanges python;
};

// Never freed: the environment points into them.
OwnChanges* own_changes = new OwnChanges;

std::string_view name_of(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

int highest(const std::vector<int>& fds) {
  return fds.empty() ? -1 : *std::ranges::max_element(fds);
}

// Moves FD to a number of at least FLOOR.
Result<void> move_up(UniqueFd& fd, int floor) {
  if (fd.get() >= floor) return {};
  const int moved = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, floor);
  if (moved < 0) return errno_error("cannot duplicate a descriptor", Reason::descriptors);
  fd.reset(moved);
  return {};
}

// A limit on descriptors below a number that is in use would keep dup2 from working: limits come after.
Result<void> place(const std::vector<int>& numbers, const std::vector<UniqueFd>& fds) {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (::dup2(fds[i].get(), numbers[i]) < 0)
      return errno_error("cannot place a descriptor", Reason::descriptors);
  }
  return {};
}

Result<void> set_limits(const Launch& launch) {
  for (std::size_t i = 0; i < kResourceLimits; ++i) {
    const auto resource = static_cast<__rlimit_resource>(i);
    rlimit limit{};
    if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == launch.soft_limits[i]) continue;
    limit.rlim_cur = launch.soft_limits[i];
    if (::setrlimit(resource, &limit) != 0) return errno_error("cannot set a resource limit", Reason::setup);
  }
  return {};
}

Result<void> set_affinity(const std::string& wanted) {
  cpu_set_t current;
  CPU_ZERO(&current);
  if (wanted.size() != sizeof current) return {};
  ::sched_getaffinity(0, sizeof current, &current);
  if (std::memcmp(&current, wanted.data(), sizeof current) == 0) return {};
  std::memcpy(&current, wanted.data(), sizeof current);
  if (::sched_setaffinity(0, sizeof current, &current) != 0)
    return errno_error("cannot set affinity", Reason::setup);
  return {};
}

Result<void> set_oom_score(int wanted) {
  const UniqueFd fd{::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC)};
  if (!fd) return {};
  std::array<char, 16> current{};
  if (::read(fd.get(), current.data(), current.size() - 1) <= 0 || std::atoi(current.data()) == wanted)
    return {};
  const std::string text = std::to_string(wanted);
  if (::write(fd.get(), text.data(), text.size()) < 0)
    return errno_error("cannot set oom_score_adj", Reason::setup);
  return {};
}

// libc's environment, for getenv and for programs that are started without one.
void set_c_environment(const std::vector<char*>& variables) {
  auto** table = new char*[variables.size() + 1];  // never freed: it is the environment from now on
  std::ranges::copy(variables, table);
  table[variables.size()] = nullptr;
  environ = table;
}

// posix.environ as convertenviron (Modules/posixmodule.c) fills it: no entry without "=", of duplicates the
// first.
Result<void> set_python_environment(const std::vector<char*>& variables) {
  PyObject* dict = interpreter_state().environment.get();
  PyDict_Clear(dict);
  for (const char* variable : variables) {
    const char* equals = std::strchr(variable, '=');
    if (equals == nullptr) continue;
    const PythonRef name{PyBytes_FromStringAndSize(variable, equals - variable)};
    const PythonRef value{PyBytes_FromString(equals + 1)};
    if (!name || !value) return Error{Reason::setup, take_python_error(), {}};
    if (PyDict_Contains(dict, name.get()) == 0) PyDict_SetItem(dict, name.get(), value.get());
  }
  return {};
}

// Makes the interpreter's own changes to the caller's variables as setenv(3) does: in place, else at the end.
void make_changes(EnvironmentChanges& changes, std::vector<char*>& variables) {
  std::erase_if(variables, [&](const char* variable) {
    return std::ranges::find(changes.removed, name_of(variable)) != changes.removed.end();
  });
  for (std::string& change : changes.set) {  // they stay for good, too
    const auto found = std::ranges::find(variables, name_of(change), name_of);
    if (found != variables.end()) {
      *found = change.data();
    } else {
      variables.push_back(change.data());
    }
  }
}

}  // namespace

void ImageSignals::install() {
  for (std::size_t i = 0; i < kImageSignals.size(); ++i) {
    struct sigaction own {};
    own.sa_handler = kImageSignals[i] == SIGCHLD ? SIG_DFL : SIG_IGN;
    ::sigaction(kImageSignals[i], &own, &former_actions[i]);
  }
}

void ImageSignals::restore() {
  for (std::size_t i = 0; i < kImageSignals.size(); ++i)
    ::sigaction(kImageSignals[i], &former_actions[i], nullptr);
}

void close_all_but(std::vector<int> wanted) {
  std::ranges::sort(wanted);
  unsigned next = 0;
  for (const int fd : wanted) {
    if (static_cast<unsigned>(fd) > next) ::close_range(next, static_cast<unsigned>(fd) - 1, 0);
    next = static_cast<unsigned>(fd) + 1;
  }
  ::close_range(next, ~0U, 0);
}

Result<void> take_over_descriptors(const Launch& launch, std::vector<UniqueFd> fds, std::span<UniqueFd> keep,
                                   const std::vector<int>& own) {
  if (fds.size() != launch.descriptors.size() + 1) {
    return Error{Reason::descriptors, "some descriptors did not arrive", {}};
  }
  if (::fchdir(fds.back().get()) != 0)
    return errno_error("cannot enter the working directory", Reason::setup);
  fds.pop_back();
  std::vector<int> numbers = launch.descriptors;
  const int floor = std::max(highest(numbers), 2) + 1;
  for (UniqueFd& fd : fds) TRY_VOID(move_up(fd, floor));
  for (UniqueFd& fd : keep) TRY_VOID(move_up(fd, floor));
  TRY_VOID(place(numbers, fds));
  for (UniqueFd& fd : fds) fd.reset();
  for (const UniqueFd& fd : keep) numbers.push_back(fd.get());
  numbers.insert(numbers.end(), own.begin(), own.end());
  close_all_but(std::move(numbers));
  return {};
}

Result<void> take_over_process_state(const Launch& launch) {
  TRY_VOID(set_limits(launch));
  TRY_VOID(set_affinity(launch.affinity));
  return set_oom_score(launch.oom_score_adj);
}

Result<void> take_over_environment(const Launch& launch) {
  auto variables = show_as(launch.name, launch.command_line, launch.environment);
  auto python_variables = variables;
  make_changes(own_changes->c, variables);
  make_changes(own_changes->python, python_variables);
  set_c_environment(variables);
  return set_python_environment(python_variables);
}

void take_over_dispositions(const Launch& launch) {
  const InterpreterState& state = interpreter_state();
  for (int signal = 1; signal < NSIG; ++signal) {
    const bool ignored = (launch.ignored_signals >> (signal - 1) & 1) != 0;
    if (!ignored || signal == SIGPIPE || signal == SIGXFSZ) continue;  // Python ignores these two by itself
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    const PythonRef former{PyObject_CallFunction(state.signal.get(), "iO", signal, state.ignore.get())};
    if (!former) {
      PyErr_Clear();  // libc's own real-time signals are refused
      continue;
    }
  }
}

Result<void> join_process_group(pid_t group) {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  if (::setpgid(0, group) != 0) return errno_error("cannot join the process group", Reason::setup);
  return {};
}

void release_signals(std::uint64_t blocked) {
  sigset_t mask;
  sigemptyset(&mask);
  std::memcpy(&mask, &blocked, sizeof blocked);
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

void note_own_environment_changes() {
  // What the process was started with still lies where the kernel put it.
  const std::string initial = whole_file("/proc/self/environ");
  std::vector<std::string> before;
  for (std::size_t at = 0; at < initial.size();) {
    before.emplace_back(initial.c_str() + at);
    at += before.back().size() + 1;
  }
  note_environment_changes_since(before);
}

namespace {

EnvironmentChanges changes_between(const std::vector<std::string>& before,
                                   const std::vector<std::string>& after) {
  EnvironmentChanges changes;
  auto next = before.begin();
  bool is_appended = false;  // this one, and what follows
  for (const std::string& variable : after) {
    const auto found = std::ranges::find(next, before.end(), name_of(variable), name_of);
    is_appended = is_appended || found == before.end();
    if (!is_appended) next = std::next(found);
    if (is_appended || *found != variable) changes.set.push_back(variable);
    // Taken away, and set again. (Where it was not there before, there is nothing to remove.)
    if (is_appended) changes.removed.emplace_back(name_of(variable));
  }
  for (const std::string& variable : before) {
    const std::string name(name_of(variable));
    if (name.starts_with("KILN_IMAGE") || name == "LD_PRELOAD" || name.empty()) continue;  // Kiln's own doing
    if (std::ranges::find(after, name, name_of) == after.end()) changes.removed.push_back(name);
  }
  return changes;
}

std::vector<std::string> c_environment() {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  return variables;
}

std::vector<std::string> python_environment() {
  std::vector<std::string> variables;
  PyObject* name = nullptr;
  PyObject* value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(interpreter_state().environment.get(), &at, &name, &value) != 0;) {
    if (PyBytes_Check(name) == 0 || PyBytes_Check(value) == 0) continue;
    variables.push_back(std::string(PyBytes_AsString(name)) + "=" + PyBytes_AsString(value));
  }
  return variables;
}

}  // namespace

void note_environment_changes_since(const std::vector<std::string>& before) {
  own_changes =
      new OwnChanges{changes_between(before, c_environment()), changes_between(before, python_environment())};
}

}  // namespace kiln::image
