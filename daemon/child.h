// A child process that cannot be forgotten: its owner waits for it, or its destructor kills and reaps it.
//
// Started by posix_spawn only, for a daemon with threads must not run code between fork and exec. The child
// gets /dev/null or the given descriptors as 0 to 2 and no others, default signal dispositions, an empty
// signal mask, and a process group of its own, so that a terminal's signals miss it and a script's children
// can be killed with it.
//
// The daemon must leave SIGCHLD at its default: where it is ignored the kernel reaps, and pids change hands.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace kiln {

struct SpawnOptions {
  std::string path;                      // of the program; PATH is not searched
  std::vector<std::string> arguments;    // argv, argv[0] included
  std::vector<std::string> environment;  // NAME=VALUE
  // Descriptors for 0 to 2, or -1 for /dev/null. They stay the caller's, and must be above 2.
  int standard_input = -1;
  int standard_output = -1;
  int standard_error = -1;
};

class Child {
 public:
  // Fails with Reason::not_found when there is no such program, Reason::system otherwise.
  static Result<Child> spawn(const SpawnOptions& options);

  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  pid_t pid() const { return pid_; }
  // Becomes readable when the child has ended.
  int pidfd() const { return pidfd_.get(); }

  // Blocks until the child has ended, at most TIMEOUT_MS (negative: for ever). The answer is a wait status as
  // wait(2) gives it, or nothing when the time is over. May be asked again.
  std::optional<int> wait(int timeout_ms = -1);

  // SIGKILL for the child and its process group. Does not wait. Nothing once the child is reaped.
  void kill();

 private:
  Child(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  void end();

  pid_t pid_ = -1;
  UniqueFd pidfd_;
  std::optional<int> status_;  // once reaped
};

// The daemon's own environment without PYTHON* variables, for interpreters that must behave alike for
// everybody, and without what its service manager wants to hear from it alone.
std::vector<std::string> environment_without_python();

}  // namespace kiln
