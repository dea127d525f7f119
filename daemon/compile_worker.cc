#include "daemon/compile_worker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "common/error_type.h"
#include "common/fields.h"
#include "common/paths.h"
#include "daemon/deadline.h"

namespace kiln {
namespace {

// How long a dying worker may take to be seen as dead, after its socket was closed.
constexpr int kDeathMs = 5'000;
// The worker's own alarm, which counts when nobody is left to kill it, comes this much after the time limit.
constexpr int kAlarmGraceS = 10;

std::vector<std::string> worker_environment() {
  auto environment = environment_without_python();
  environment.emplace_back("PYTHONHASHSEED=0");
  environment.emplace_back("PYTHONSAFEPATH=1");
  return environment;
}

// Waits until FD is ready for EVENTS.
Result<void> wait_for(int fd, short events, int cancel, const Deadline& deadline) {
  for (;;) {
    pollfd fds[2] = {{fd, events, 0}, {cancel, POLLIN, 0}};  // poll ignores a negative descriptor
    const int ready = ::poll(fds, 2, deadline.left_ms());
    if (ready == 0) return Error{Reason::timeout, "no answer in time", {}};
    if (ready < 0 && errno != EINTR) return errno_error("cannot wait for a compile worker");
    if (ready > 0 && fds[1].revents != 0) return Error{Reason::shutting_down, "cancelled", {}};
    if (ready > 0) return {};
  }
}

// A peer that is gone is Reason::image_lost here as elsewhere: a process that should have answered.
Error lost() {
  return {Reason::image_lost, "the compile worker ended", {}};
}

Result<void> send_all(int fd, std::string_view bytes, int cancel, const Deadline& deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      TRY_VOID(wait_for(fd, POLLOUT, cancel, deadline));
    } else if (errno != EINTR) {
      return lost();
    }
  }
  return {};
}

Result<void> receive_exactly(int fd, char* out, std::size_t size, int cancel, const Deadline& deadline) {
  while (size > 0) {
    const ssize_t got = ::recv(fd, out, size, MSG_DONTWAIT);
    if (got > 0) {
      out += got;
      size -= static_cast<std::size_t>(got);
    } else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      TRY_VOID(wait_for(fd, POLLIN, cancel, deadline));
    } else if (got == 0 || errno != EINTR) {
      return lost();
    }
  }
  return {};
}

Result<std::string> receive_answer(int fd, std::uint64_t limit, int cancel, const Deadline& deadline) {
  std::uint64_t size = 0;
  TRY_VOID(receive_exactly(fd, reinterpret_cast<char*>(&size), sizeof size, cancel, deadline));
  if (size > limit) return Error{Reason::protocol, "the compiler's answer is too long", {}};
  std::string answer(size, '\0');
  TRY_VOID(receive_exactly(fd, answer.data(), answer.size(), cancel, deadline));
  return answer;
}

std::string encode_request(const CompileRequest& request, int timeout_ms) {
  FieldWriter payload;
  payload.bytes(request.source);
  payload.bytes(request.filename);
  payload.number(static_cast<std::uint64_t>(request.optimize + 1));
  payload.number(static_cast<std::uint64_t>(timeout_ms / 1000 + kAlarmGraceS));
  FieldWriter frame;
  frame.bytes(payload.take());
  return frame.take();
}

Result<Compiled> decode_answer(std::string_view answer) {
  FieldReader reader(answer);
  Compiled compiled;
  if (reader.number() == 0) {
    compiled.code = reader.bytes();
  } else {
    CompileError error;
    error.type = reader.bytes();
    error.message = reader.bytes();
    error.line = static_cast<int>(reader.number());
    error.column = static_cast<int>(reader.number());
    compiled.error = std::move(error);
  }
  compiled.warnings = reader.bytes();
  if (!reader.done()) return Error{Reason::protocol, "unreadable answer of a compile worker", {}};
  return compiled;
}

std::string describe_death(int status) {
  if (WIFSIGNALED(status)) {
    return std::string("the compiler died of SIG") + ::sigabbrev_np(WTERMSIG(status));
  }
  return "the compiler exited with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

bool is_of_source(const CompileError& error) {
  return !is_system_error(error.type);
}

std::string name_file_in(std::string_view warnings, std::string_view filename) {
  std::string named;
  for (std::size_t i = 0; i < warnings.size(); ++i) {
    const bool marked = warnings[i] == kFilenameMark && (i == 0 || warnings[i - 1] == '\n');
    if (marked) {
      named += filename;
    } else {
      named += warnings[i];
    }
  }
  return named;
}

Result<void> CompileWorker::start() {
  if (child_) return {};
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return errno_error("cannot create a socket");
  UniqueFd ours{ends[0]};
  const UniqueFd theirs{ends[1]};
  SpawnOptions options;
  options.path = interpreter_.executable;
  options.arguments = {options.path, "-s", "-S", "-B"};
  if (every_warning_) options.arguments.emplace_back("-Walways");
  if (level_ > 0) options.arguments.emplace_back(level_ == 1 ? "-O" : "-OO");
  options.arguments.push_back(TRY(own_lib_file("compile_worker.py")));
  options.environment = worker_environment();
  options.standard_input = theirs.get();
  child_ = TRY(Child::spawn(options));
  const rlimit memory{limits_.memory_bytes, limits_.memory_bytes};
  ::prlimit(child_->pid(), RLIMIT_AS, &memory, nullptr);  // a lower limit of the user's own stays: EPERM
  const rlimit no_core{0, 0};
  ::prlimit(child_->pid(), RLIMIT_CORE, &no_core, nullptr);
  socket_ = std::move(ours);
  greeted_ = false;
  return {};
}

void CompileWorker::stop() {
  socket_.reset();
  child_.reset();
}

Result<void> CompileWorker::greet(int cancel) {
  if (greeted_) return {};
  const Deadline deadline(limits_.startup_ms);
  const auto hello = TRY(receive_answer(socket_.get(), limits_.answer_bytes, cancel, deadline));
  FieldReader reader(hello);
  const auto magic = reader.number();
  if (!reader.done()) return Error{Reason::protocol, "unreadable greeting of a compile worker", {}};
  if (magic != interpreter_.magic) {
    return Error{Reason::interpreter, interpreter_.executable + " is another Python than it was", {}};
  }
  greeted_ = true;
  return {};
}

Result<Compiled> CompileWorker::exchange(const CompileRequest& request, int cancel) {
  const Deadline deadline(limits_.timeout_ms);
  TRY_VOID(send_all(socket_.get(), encode_request(request, limits_.timeout_ms), cancel, deadline));
  return decode_answer(TRY(receive_answer(socket_.get(), limits_.answer_bytes, cancel, deadline)));
}

// What to say of the file at which the worker was lost.
CompileError CompileWorker::obituary(const Error& error) {
  if (error.reason == Reason::timeout) {
    return {std::string(kTimedOut), "not compiled within " + std::to_string(limits_.timeout_ms) + " ms"};
  }
  if (error.reason == Reason::image_lost) {
    if (const auto status = child_->wait(kDeathMs)) return {std::string(kCrashed), describe_death(*status)};
  }
  return {std::string(kCrashed), error.message};
}

// One that was killed while it waited or started is not the file's fault: its loss counts if it comes again.
Result<Compiled> CompileWorker::compile(const CompileRequest& request, int cancel) {
  const bool waited = child_.has_value();
  auto compiled = compile_once(request, cancel);
  const bool crashed = compiled && compiled->error && compiled->error->type == kCrashed;
  const bool never_began = !compiled && compiled.error().reason == Reason::image_lost;
  return (waited && crashed) || never_began ? compile_once(request, cancel) : std::move(compiled);
}

Result<Compiled> CompileWorker::compile_once(const CompileRequest& request, int cancel) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  TRY_VOID(start());
  if (auto greeting = greet(cancel); !greeting) {
    const Error error = greeting.error();
    stop();
    return error;
  }
  const auto startup = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
  auto compiled = exchange(request, cancel);
  if (compiled) {
    compiled->startup = startup;
    // Memory that a process could not get it seldom gives back: the next file deserves a fresh one.
    if (compiled->error && compiled->error->type == kOutOfMemory) stop();
    return compiled;
  }
  if (compiled.error().reason == Reason::shutting_down) {
    stop();
    return compiled;
  }
  Compiled failed;
  failed.error = obituary(compiled.error());
  stop();
  return failed;
}

}  // namespace kiln
