// The daemon as a service of systemd: it takes over a socket that another process listens on, tells when it
// is ready and when it stops, and leaves the socket to its owner. Here this process is what systemd is
// elsewhere.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "common/unique_fd.h"
#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::ContainsRegex;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

std::string kilnd_binary() {
  return fs::path(kiln_binary()).parent_path() / "kilnd";
}

std::string socket_path() {
  return runtime_dir() + "/kilnd.sock";
}

ino_t inode_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

UniqueFd bound_socket(const std::string& path, int type) {
  ::unlink(path.c_str());
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  EXPECT_LT(path.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return fd;
}

UniqueFd listening_socket(const std::string& path) {
  UniqueFd fd = bound_socket(path, SOCK_STREAM);
  EXPECT_EQ(::listen(fd.get(), 16), 0);
  return fd;
}

UniqueFd lifetime_lock() {
  UniqueFd lock(::open((runtime_dir() + "/kilnd.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_EQ(::flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  return lock;
}

class Service : public testing::Test {
 protected:
  void SetUp() override {
    reset_work_dir();
    kiln({"daemon", "stop"});
    notifications_ = bound_socket(notify_path(), SOCK_DGRAM);
  }

  void TearDown() override {
    // Where only a test listens, nobody would answer.
    if (!own_processes("kilnd").empty()) kiln({"daemon", "stop"});
    ::unlink(socket_path().c_str());
  }

  static std::string notify_path() { return home_dir() + "/notify"; }

  // Only the shell knows the pid that its successor has.
  static Invocation service(const UniqueFd& socket) {
    const int fd = socket.get();
    return {.argv = {"/bin/sh", "-c", "LISTEN_PID=$$ exec \"$0\" --foreground", kilnd_binary()},
            .environment = environment_with({"LISTEN_FDS=1", "NOTIFY_SOCKET=" + notify_path()}),
            .in_child = [fd] { ::dup2(fd, 3); }};
  }

  // The next that the daemon tells; empty at the deadline.
  std::string next_notification() const {
    std::array<char, 1024> text{};
    pollfd polled{notifications_.get(), POLLIN, 0};
    if (::poll(&polled, 1, kDeadlineMs) != 1) return {};
    const ssize_t size = ::recv(notifications_.get(), text.data(), text.size(), 0);
    return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : std::string();
  }

  UniqueFd notifications_;
};

TEST_F(Service, TellsWhenItIsReadyAndWhenItStops) {
  const UniqueFd socket = listening_socket(socket_path());
  const ino_t inode = inode_of(socket_path());
  Process daemon(service(socket));
  EXPECT_THAT(next_notification(), StartsWith("READY=1\n"));
  EXPECT_EQ(daemon_pid(), daemon.pid());
  EXPECT_EQ(kiln({"daemon", "stop"}).out, "the daemon has stopped\n");
  EXPECT_THAT(next_notification(), StartsWith("STOPPING=1\n"));
  EXPECT_EQ(describe_status(daemon.finish().status), "exit 0");
  EXPECT_EQ(inode_of(socket_path()), inode) << "the socket is not the daemon's to remove";
}

TEST_F(Service, ServesWhoCameBeforeIt) {
  const UniqueFd socket = listening_socket(socket_path());
  Process client({.argv = {kiln_binary(), "status", "--json"}});
  pollfd waits{socket.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&waits, 1, kDeadlineMs), 1);
  Process daemon(service(socket));
  const Outcome status = client.finish();
  EXPECT_THAT(status.out, ContainsRegex("\"pid\" *: *" + std::to_string(daemon.pid()))) << status.err;
}

// The peer of its connection is this process, which goes on.
TEST_F(Service, StopsForWhoCameBeforeIt) {
  const UniqueFd socket = listening_socket(socket_path());
  UniqueFd lock = lifetime_lock();  // as of one that has begun, and does not listen yet
  Process client({.argv = {kiln_binary(), "daemon", "stop"}});
  pollfd waits{socket.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&waits, 1, kDeadlineMs), 1);
  lock.reset();
  Process daemon(service(socket));
  const Outcome stopped = client.finish();
  EXPECT_EQ(stopped.out, "the daemon has stopped\n") << stopped.err;
  EXPECT_EQ(describe_status(daemon.finish().status), "exit 0");
}

// They say that they start none.
TEST_F(Service, IsNotStartedInOrderToBeStoppedOrExamined) {
  const UniqueFd socket = listening_socket(socket_path());
  for (const char* action : {"stop", "reload"}) {
    const Outcome outcome = kiln({"daemon", action});
    EXPECT_EQ(outcome.out, "no daemon was running\n") << action << ": " << outcome.err;
  }
  EXPECT_THAT(kiln({"doctor"}).out, HasSubstr("none is running; the first run starts one"));
  EXPECT_THAT(kiln({"clean", "--all", "--dry-run"}).out, HasSubstr("would remove "));
  pollfd waits{socket.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&waits, 1, 0), 0) << "somebody has connected";
}

TEST_F(Service, ServesRuns) {
  const UniqueFd socket = listening_socket(socket_path());
  Process daemon(service(socket));
  EXPECT_THAT(next_notification(), StartsWith("READY=1\n"));
  EXPECT_TRUE(run_until_bare(any_python(), {"-c", "pass"}, base_environment()).is_served());
  EXPECT_EQ(daemon_pid(), daemon.pid());
}

TEST_F(Service, AnotherOneTakesTheSocketAfterIt) {
  const UniqueFd socket = listening_socket(socket_path());
  for (int i = 0; i < 2; ++i) {
    Process daemon(service(socket));
    EXPECT_THAT(next_notification(), StartsWith("READY=1\n"));
    EXPECT_EQ(daemon_pid(), daemon.pid());
    daemon.signal(SIGTERM);
    EXPECT_THAT(next_notification(), StartsWith("STOPPING=1\n"));
    EXPECT_EQ(describe_status(daemon.finish().status), "exit 0");
  }
}

TEST_F(Service, WaitsForADaemonThatHasLostItsSocket) {
  ASSERT_EQ(describe_status(kiln({"daemon", "start"}).status), "exit 0");
  const pid_t former = daemon_pid();
  const UniqueFd socket = listening_socket(socket_path());
  Process daemon(service(socket));
  EXPECT_THAT(next_notification(), StartsWith("READY=1\n"));
  EXPECT_TRUE(wait_gone(former));
  EXPECT_EQ(daemon_pid(), daemon.pid());
}

TEST_F(Service, TakesNoSocketButTheOneWhereClientsLook) {
  const UniqueFd socket = listening_socket(runtime_dir() + "/other.sock");
  Process daemon(service(socket));
  const Outcome outcome = daemon.finish();
  EXPECT_THAT(outcome.err, HasSubstr("error: the service manager does not listen on " + socket_path()));
  EXPECT_EQ(describe_status(outcome.status), "exit 3");
  ::unlink((runtime_dir() + "/other.sock").c_str());
}

TEST_F(Service, ADaemonByHandRobsNobodyOfTheSocket) {
  const UniqueFd socket = listening_socket(socket_path());
  const ino_t inode = inode_of(socket_path());
  const Outcome refused = kiln({"daemon", "run"});
  EXPECT_THAT(refused.err, EndsWith("error: another program listens on " + socket_path() +
                                    "\n\nhint: systemctl --user stop kilnd.socket\n"));
  EXPECT_EQ(describe_status(refused.status), "exit 1");
  EXPECT_EQ(inode_of(socket_path()), inode);
}

// Not this process, but a program of systemd's own.
TEST_F(Service, IsStartedBySystemd) {
  const std::string starter = "/usr/bin/systemd-socket-activate";
  if (!fs::exists(starter)) GTEST_SKIP() << "no " << starter;
  Process daemon({.argv = {starter, "--listen=" + socket_path(), "--setenv=KILN_RUNTIME_DIR=" + runtime_dir(),
                           "--setenv=KILN_CACHE_DIR=" + cache_dir(), kilnd_binary()},
                  .err = Stream::with_stdout});
  ASSERT_TRUE(daemon.wait_for_output("Listening on")) << daemon.output();
  EXPECT_EQ(daemon_pid(), daemon.pid());
  EXPECT_EQ(kiln({"daemon", "stop"}).out, "the daemon has stopped\n");
  EXPECT_EQ(describe_status(daemon.finish().status), "exit 0");
}

// As when its package is removed: an installation of its own, which goes.
TEST_F(Service, EndsWhenItIsNoLongerInstalled) {
  const fs::path build = fs::path(kiln_binary()).parent_path().parent_path();
  const fs::path installed = home_dir() + "/installed";
  fs::create_directories(installed / "bin");
  for (const char* name : {"kiln", "kilnd"}) fs::copy(build / "bin" / name, installed / "bin" / name);
  fs::copy(build / "lib", installed / "lib", fs::copy_options::recursive);
  ASSERT_EQ(describe_status(run({.argv = {installed / "bin/kiln", "daemon", "start"}}).status), "exit 0");
  const pid_t daemon = daemon_pid();
  ASSERT_GT(daemon, 0);
  fs::remove_all(installed);
  EXPECT_TRUE(wait_gone(daemon));
  EXPECT_FALSE(fs::exists(socket_path()));
}

}  // namespace
}  // namespace kiln::e2e
