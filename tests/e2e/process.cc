// Child processes of the end-to-end tests: streams, environment, output, end.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace {

long now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe2");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

UniqueFd open_or_fail(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  if (!fd) fail("open " + path);
  return fd;
}

// The child's end of an output stream; what the test reads goes to PIPE or FILE.
UniqueFd output_stream(Stream kind, UniqueFd& pipe, std::string& file, const char* name) {
  switch (kind) {
    case Stream::pipe: {
      Pipe ends = make_pipe();
      pipe = std::move(ends.read_end);
      return std::move(ends.write_end);
    }
    case Stream::file:
      file = home_dir() + "/" + name;
      return open_or_fail(file, O_CREAT | O_TRUNC | O_RDWR);
    case Stream::full:
      return open_or_fail("/dev/full", O_WRONLY);
    case Stream::broken_pipe:
      return std::move(make_pipe().write_end);
    case Stream::closed:
    case Stream::with_stdout:
      return {};
    case Stream::null:
    case Stream::directory:
      break;
  }
  return open_or_fail("/dev/null", O_WRONLY);
}

UniqueFd input_stream(const Invocation& invocation, UniqueFd& input) {
  switch (invocation.in) {
    case Stream::pipe: {
      Pipe ends = make_pipe();
      input = std::move(ends.write_end);
      return std::move(ends.read_end);
    }
    case Stream::file: {
      const std::string path = home_dir() + "/stdin";
      write_file(path, invocation.input);
      return open_or_fail(path, O_RDONLY);
    }
    case Stream::directory:
      return open_or_fail("/", O_RDONLY | O_DIRECTORY);
    case Stream::closed:
      return {};
    default:
      return open_or_fail("/dev/null", O_RDONLY);
  }
}

void place(const UniqueFd& fd, int number) {
  if (fd) {
    ::dup2(fd.get(), number);
  } else {
    ::close(number);
  }
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& string : strings) out.push_back(const_cast<char*>(string.c_str()));
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void become(const Invocation& invocation, const UniqueFd& in, const UniqueFd& out,
                         const UniqueFd& err) {
  const std::vector<char*> argv = pointers(invocation.argv);
  const std::vector<char*> environment = pointers(invocation.environment);
  const std::string cwd = invocation.cwd.empty() ? work_dir() : invocation.cwd;
  if (::chdir(cwd.c_str()) != 0) ::_exit(126);
  place(in, 0);
  place(out, 1);
  if (invocation.err == Stream::with_stdout) {
    ::dup2(1, 2);
  } else {
    place(err, 2);
  }
  if (invocation.in_child) invocation.in_child();
  ::execve(argv[0], argv.data(), environment.data());
  std::perror(argv[0]);
  ::_exit(127);
}

// Appends what FD has; closes it at end of file.
void drain(UniqueFd& fd, std::string& text) {
  std::array<char, 65536> buffer{};
  const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
  if (size > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(size));
  } else if (size == 0 || errno != EINTR) {
    fd.reset();
  }
}

}  // namespace

Process::Process(const Invocation& invocation) : deadline_ms_(now_ms() + kDeadlineMs) {
  // A pipe that the child does not read must not end the test.
  static const auto ignored = std::signal(SIGPIPE, SIG_IGN);
  (void)ignored;
  const UniqueFd in = input_stream(invocation, input_);
  const UniqueFd out = output_stream(invocation.out, out_pipe_, out_file_, "stdout");
  const UniqueFd err = output_stream(invocation.err, err_pipe_, err_file_, "stderr");
  pid_ = ::fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) {
    std::signal(SIGPIPE, SIG_DFL);
    become(invocation, in, out, err);
  }
  if (invocation.in == Stream::pipe && !invocation.input.empty()) write_input(invocation.input);
}

Process::~Process() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  reap();
}

void Process::signal(int number) const {
  ::kill(pid_, number);
}

void Process::write_input(std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(input_.get(), text.data(), text.size());
    if (size < 0) return;  // the child does not read it: that is its affair
    text.remove_prefix(static_cast<std::size_t>(size));
  }
}

bool Process::pump() {
  std::array<pollfd, 2> polled{pollfd{out_pipe_.get(), POLLIN, 0}, pollfd{err_pipe_.get(), POLLIN, 0}};
  if (!out_pipe_ && !err_pipe_) return false;
  const long left_ms = deadline_ms_ - now_ms();
  if (left_ms <= 0 || ::poll(polled.data(), polled.size(), static_cast<int>(left_ms)) == 0) {
    timed_out_ = true;
    return false;
  }
  if (polled[0].revents != 0) drain(out_pipe_, out_);
  if (polled[1].revents != 0) drain(err_pipe_, err_);
  return true;
}

bool Process::wait_for_output(std::string_view text) {
  while (out_.find(text) == std::string::npos) {
    if (!out_pipe_ || !pump()) return false;
  }
  return true;
}

void Process::reap() {
  while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

Outcome Process::finish() {
  close_input();
  while (pump()) {
  }
  if (timed_out_ || !wait_gone(pid_)) {
    timed_out_ = true;
    ::kill(pid_, SIGKILL);
  }
  reap();
  if (!out_file_.empty()) out_ = read_file(out_file_);
  if (!err_file_.empty()) err_ = read_file(err_file_);
  return {std::move(out_), std::move(err_), WIFSIGNALED(status_) ? status_ & ~0x80 : status_, timed_out_};
}

void kill_process(pid_t pid, int number) {
  if (pid <= 1) fail("no process to kill");
  ::kill(pid, number);
}

void kill_group(pid_t group, int number) {
  if (group <= 1) fail("no group to kill");
  ::kill(-group, number);
}

Outcome run(const Invocation& invocation) {
  return Process(invocation).finish();
}

std::string describe_status(int status) {
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "exit " + std::to_string(WEXITSTATUS(status));
}

}  // namespace kiln::e2e
