#include "daemon/child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <utility>

#include "daemon/deadline.h"

extern "C" {            // glibc 2.36 forgot it
#include <sys/pidfd.h>  // NOLINT
}

namespace kiln {
namespace {

class FileActions {
 public:
  FileActions() { posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;

  void give(int fd, int number) {
    if (fd >= 0) {
      posix_spawn_file_actions_adddup2(&actions_, fd, number);
    } else {
      posix_spawn_file_actions_addopen(&actions_, number, "/dev/null", O_RDWR, 0);
    }
  }
  void close_the_rest() { posix_spawn_file_actions_addclosefrom_np(&actions_, 3); }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

class Attributes {
 public:
  Attributes() {
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~Attributes() { posix_spawnattr_destroy(&attributes_); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const auto& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

void kill_and_reap(pid_t pid) {
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<Child> Child::spawn(const SpawnOptions& options) {
  FileActions actions;
  actions.give(options.standard_input, 0);
  actions.give(options.standard_output, 1);
  actions.give(options.standard_error, 2);
  actions.close_the_rest();
  const Attributes attributes;
  const auto arguments = pointers(options.arguments);
  const auto environment = pointers(options.environment);
  pid_t pid = -1;
  errno = ::posix_spawn(&pid, options.path.c_str(), actions.get(), attributes.get(), arguments.data(),
                        environment.data());
  if (errno != 0) {
    return errno_error("cannot start " + options.path, errno == ENOENT ? Reason::not_found : Reason::system);
  }
  UniqueFd pidfd{::pidfd_open(pid, 0)};
  if (!pidfd) {
    auto error = errno_error("cannot watch process " + std::to_string(pid));
    kill_and_reap(pid);
    return error;
  }
  return Child(pid, std::move(pidfd));
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)), status_(other.status_) {}

Child& Child::operator=(Child&& other) noexcept {
  if (this == &other) return *this;
  end();
  pid_ = std::exchange(other.pid_, -1);
  pidfd_ = std::move(other.pidfd_);
  status_ = other.status_;
  return *this;
}

Child::~Child() {
  end();
}

std::optional<int> Child::wait(int timeout_ms) {
  if (status_ || pid_ < 0) return status_;
  const Deadline deadline(timeout_ms);
  pollfd ended{pidfd_.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&ended, 1, deadline.left_ms());
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) return std::nullopt;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  status_ = status;
  return status_;
}

void Child::kill() {
  if (status_ || pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::kill(-pid_, SIGKILL);  // the unreaped child keeps the number of its group from being used again
}

void Child::end() {
  kill();
  wait();
}

std::vector<std::string> environment_without_python() {
  std::vector<std::string> result;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (!text.starts_with("PYTHON") && !text.starts_with("NOTIFY_SOCKET=")) result.emplace_back(text);
  }
  return result;
}

}  // namespace kiln
