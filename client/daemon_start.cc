#include "client/daemon_start.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

#include "client/connection.h"
#include "client/installation.h"
#include "common/fd_passing.h"
#include "common/file_stamp.h"
#include "common/paths.h"
#include "common/place.h"
#include "common/start_lock.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

// A start-up that takes longer than this has gone wrong: opening the index is milliseconds.
constexpr int kStartLimit_ms = 20'000;
constexpr int kStopLimit_ms = 20'000;
constexpr unsigned kOtherEnds_s = 10;

[[noreturn]] void exec_daemon(const std::string& binary, int ready_fd) {
  ::setsid();
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  // Any of 0 to 3 may be free in the caller, and so be one of ours by now.
  // Nor do the first client's soft limits become everybody's.
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit limit{};
    const auto which = static_cast<__rlimit_resource>(resource);
    if (resource == RLIMIT_STACK || ::getrlimit(which, &limit) != 0) continue;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(which, &limit);
  }
  const int ready = ::fcntl(ready_fd, F_DUPFD, 10);
  const int null = ::fcntl(::open("/dev/null", O_RDWR | O_CLOEXEC), F_DUPFD, 10);
  for (int fd = 0; fd < 3; ++fd) ::dup2(null, fd);
  ::dup2(ready, 3);
  ::close_range(4, ~0U, 0);
  // What a service manager told the caller is not the daemon's affair.
  for (const char* name :
       {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"})
    ::unsetenv(name);
  ::execl(binary.c_str(), "kilnd", "--ready-fd", "3", nullptr);
  const std::string failure = errno_error("cannot start " + binary).message + "\nkiln doctor";
  (void)!::write(3, failure.data(), failure.size());
  ::_exit(127);
}

// The lifetime lock, which a daemon that is about to end may hold for some time yet.
UniqueFd await_lifetime_lock(const std::string& dir) {
  return locked_in_time(
      UniqueFd{::open(lifetime_lock_path(dir).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)});
}

Error not_started(std::string_view why) {
  const std::size_t line_end = why.find('\n');
  const std::string hint(line_end < why.size() ? why.substr(line_end + 1) : "");
  return {Reason::no_daemon, std::string(why.substr(0, line_end)), hint};
}

// "r": ready. Other text: why it is not, and perhaps in a second line what helps. End of file: another has
// the lifetime lock.
Result<void> await_ready(int ready_fd) {
  pollfd waited{ready_fd, POLLIN, 0};
  if (::poll(&waited, 1, kStartLimit_ms) != 1)
    return Error{Reason::timeout, "the daemon did not start in time", "kiln daemon logs"};
  std::array<char, 4096> text{};
  const ssize_t size = ::read(ready_fd, text.data(), text.size());
  if (size == 1 && text[0] == 'r') return {};
  if (size > 0) return not_started({text.data(), static_cast<std::size_t>(size)});
  if (Connection::open()) return {};
  return Error{Reason::already_running, "another daemon holds the lock, but does not answer",
               "pkill -x -u " + std::to_string(::geteuid()) + " kilnd"};
}

// Of the daemon's program, if it can be executed.
Result<std::string> daemon_program() {
  const std::string bin_dir = TRY(own_bin_dir());
  std::string binary = bin_dir + "/kilnd";
  if (::access(binary.c_str(), X_OK) == 0) return binary;
  Error error = errno_error("cannot start " + binary, Reason::no_daemon);
  error.hint = install_again(bin_dir, binary);
  return error;
}

Result<void> spawn_daemon() {
  const std::string binary = TRY(daemon_program());
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) return errno_error("cannot create a pipe");
  UniqueFd reader{pipe_fds[0]};
  UniqueFd writer{pipe_fds[1]};
  // Two forks: the daemon is nobody's child, least of all of the program that this process may become.
  const pid_t child = ::fork();
  if (child < 0) return errno_error("cannot start a process");
  if (child == 0) {
    if (::fork() == 0) exec_daemon(binary, writer.get());
    ::_exit(0);
  }
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  writer.reset();
  return await_ready(reader.get());
}

// For the cache of our own environment, which is made if need be; the daemon tells why that cannot be.
UniqueFd hold_starts_here() {
  const auto cache = cache_dir();
  do {
    if (!cache || !open_private_dir(*cache, "KILN_CACHE_DIR")) return {};
    if (UniqueFd held = hold_starts(*cache)) return held;
  } while (::access(cache->c_str(), F_OK) != 0);  // it was removed while we waited
  return {};
}

// Else its socket cannot be seen from here, whether it ends or not.
bool has_our_root(pid_t process) {
  const FileStamp ours = stamp_of("/");
  const FileStamp its = stamp_of("/proc/" + std::to_string(process) + "/root");
  return its.device == ours.device && its.inode == ours.inode;
}

// To which nobody came through: it is about to end, and another that did not wait would be without the index.
void await_end_of_keeper() {
  const auto keeper = keeper_to_go_to();
  if (!keeper || keeper->pid <= 0 || !has_our_root(keeper->pid)) return;
  const UniqueFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, keeper->pid, 0))};
  pollfd waited{pidfd.get(), POLLIN, 0};
  if (pidfd) ::poll(&waited, 1, kOtherEnds_s * 1000);
}

}  // namespace

UniqueFd announce_start() {
  const auto dir = runtime_dir();
  if (!dir || !open_private_dir(*dir)) return {};
  UniqueFd lock{::open(starts_lock_path(*dir).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  return lock && ::flock(lock.get(), LOCK_SH | LOCK_NB) == 0 ? std::move(lock) : UniqueFd();
}

namespace {

// False: it is held by somebody, and stays so.
bool comes_free(const std::string& lock) {
  UniqueFd opened{::open(lock.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  return !opened || locked_in_time(std::move(opened));
}

}  // namespace

Result<void> await_starts() {
  const std::string dir = TRY(runtime_dir());
  if (::access(dir.c_str(), F_OK) == 0) TRY(open_private_dir(dir));  // in another's, anybody may hold a lock
  const auto cache = cache_dir();
  if (comes_free(starts_lock_path(dir)) && comes_free(spawn_lock_path(dir)) && (!cache || comes_free(*cache)))
    return {};
  return Error{Reason::timeout, "a daemon is being started, which takes long", "kiln daemon logs"};
}

Result<void> start_daemon() {
  const std::string dir = TRY(runtime_dir());
  TRY(open_private_dir(dir));
  const UniqueFd lock{::open(spawn_lock_path(dir).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!lock) {
    Error error = errno_error("cannot open " + spawn_lock_path(dir));
    error.hint = make_way_for(spawn_lock_path(dir), errno, "KILN_RUNTIME_DIR");
    return error;
  }
  if (::flock(lock.get(), LOCK_EX) != 0) return errno_error("cannot lock " + spawn_lock_path(dir));
  const UniqueFd starts = hold_starts_here();
  if (Connection::open()) return {};  // a lock's former holder was here for the same reason
  await_end_of_keeper();
  auto started = spawn_daemon();
  if (started || started.error().reason != Reason::already_running) return started;
  const bool other_has_ended = static_cast<bool>(await_lifetime_lock(dir));
  return other_has_ended ? spawn_daemon() : started;
}

Result<void> check_what_a_daemon_needs() {
  TRY(daemon_program());
  const std::string dir = TRY(runtime_dir());
  TRY(open_private_dir(dir));
  if (::access(dir.c_str(), W_OK | X_OK) != 0) return errno_error("cannot write in " + dir);
  const std::string socket = socket_path(dir);
  struct stat status {};
  if (::lstat(socket.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode))
    return Error{Reason::system, socket + " is no socket", {}};
  const std::string cache = TRY(cache_dir());
  TRY(open_private_dir(cache, "KILN_CACHE_DIR"));
  const std::string log = log_path(cache);
  if (UniqueFd{::open(log.c_str(), O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC)} || errno == ENOENT)
    return {};
  Error error = errno_error("cannot write the log " + log);
  error.hint = make_way_for(log, errno, "KILN_CACHE_DIR");
  return error;
}

Result<void> check_daemon_can_start() {
  const auto able = check_what_a_daemon_needs();
  if (able) return {};
  return Error{Reason::no_daemon, "no daemon is running, and none can start: " + able.error().message, {}};
}

Result<void> stop_daemon() {
  Connection connection = TRY(Connection::open_living());
  proto::Request request;
  request.mutable_stop();
  TRY_VOID(connection.send(std::move(request)));
  TRY_VOID(connection.await_answer());
  // Where the daemon did not listen yet, the connection's peer is systemd: only the daemon knows its own pid.
  const int daemon = TRY(connection.receive()).stopping().pid();
  const UniqueFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, daemon, 0))};
  pollfd waited{pidfd.get(), POLLIN, 0};
  if (pidfd && ::poll(&waited, 1, kStopLimit_ms) != 1) {
    return Error{Reason::timeout, "the daemon did not stop in time", "kiln daemon logs"};
  }
  return {};
}

Result<UniqueFd> stop_daemon_for_good() {
  const std::string dir = TRY(runtime_dir());
  TRY(open_private_dir(dir));
  const auto stopped = stop_daemon();
  if (!stopped && stopped.error().reason != Reason::no_daemon) return stopped.error();
  if (UniqueFd lock = await_lifetime_lock(dir)) return lock;
  return Error{Reason::already_running, "another daemon was started meanwhile", "kiln daemon stop"};
}

}  // namespace kiln
