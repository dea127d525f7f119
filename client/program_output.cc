#include "client/program_output.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "common/unique_fd.h"

namespace kiln {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLimit = std::chrono::seconds(10);
constexpr std::size_t kMaxOutput = 65'536;

// -1: it could not be started.
pid_t start(std::vector<std::string>& command, int output) {
  std::vector<char*> argv;
  for (auto& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  const int failed = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  return failed == 0 ? pid : -1;
}

bool is_readable(int fd, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd waited{fd, POLLIN, 0};
  const int ready = left > 0 ? ::poll(&waited, 1, static_cast<int>(left)) : 0;
  return ready > 0 || (ready < 0 && errno == EINTR);
}

// Nothing: it does not end in time. What is beyond the limit is read, too, so that it may end.
std::optional<std::string> read_all(int fd) {
  const auto deadline = Clock::now() + kLimit;
  std::string text;
  std::array<char, kMaxOutput> buffer{};
  while (is_readable(fd, deadline)) {
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return text;
    text.append(buffer.data(), std::min(static_cast<std::size_t>(size), kMaxOutput - text.size()));
  }
  return std::nullopt;
}

int await_end(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return status;
}

}  // namespace

std::optional<std::string> program_output(std::vector<std::string> command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return std::nullopt;
  const UniqueFd reading{ends[0]};
  UniqueFd writing{ends[1]};
  ::fcntl(writing.get(), F_SETFL, 0);  // the program's own end blocks
  const pid_t pid = start(command, writing.get());
  writing.reset();
  if (pid < 0) return std::nullopt;
  auto text = read_all(reading.get());
  if (!text) ::kill(pid, SIGKILL);
  const int status = await_end(pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return text;
}

}  // namespace kiln
