#include "client/output.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "common/path_error.h"
#include "common/screen.h"
#include "common/variables.h"

namespace kiln {

// A handler, not SIG_IGN: exec sets only that back to the default (signal(7)).
void outlive_closed_pipes() {
  if (std::signal(SIGPIPE, [](int) {}) == SIG_IGN) std::signal(SIGPIPE, SIG_IGN);
}

bool wants_colour() {
  return value_of("NO_COLOR") == nullptr && terminal_columns(STDOUT_FILENO) > 0;
}

namespace {

// As a program ends that has not asked for anything else, unless this one was started to be told of it.
void end_by_broken_pipe() {
  if (std::signal(SIGPIPE, SIG_DFL) == SIG_IGN) {
    std::signal(SIGPIPE, SIG_IGN);
    return;
  }
  std::raise(SIGPIPE);
}

// Where standard output leads may be full, or it is closed.
std::string output_hint(int error, const std::string& command) {
  if (error == EBADF) return command + " > /dev/null";
  std::error_code unknown;
  const auto place = std::filesystem::read_symlink("/proc/self/fd/1", unknown);
  return place.has_root_directory() ? path_hint(error, place) : "";
}

Error output_error(const std::string& what, const std::string& command) {
  const int why = errno;
  if (why == EPIPE) end_by_broken_pipe();
  errno = why;
  Error error = errno_error(what);
  error.hint = output_hint(why, command);
  return error;
}

}  // namespace

Result<void> finish_output(const std::string& command) {
  const std::string what = "cannot write to standard output";
  if (std::fflush(stdout) != 0) return output_error(what, command);
  if (std::ferror(stdout) == 0) return {};
  // Why is forgotten: stdio drops what it could not write (glibc's new_do_write), so that flushing it
  // succeeds. Whoever reads a line more of what has a gap already loses nothing.
  if (::write(STDOUT_FILENO, "\n", 1) < 0) return output_error(what, command);
  return Error{Reason::system, what, output_hint(ENOSPC, command)};
}

}  // namespace kiln
