// The daemon's life: who starts it, what it survives, and that its end disturbs no program.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <regex>

#include "common/unique_fd.h"
#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class Daemon : public testing::Test {
 protected:
  void SetUp() override {
    reset_work_dir();
    ASSERT_TRUE(warm().is_served());
  }

  static LogLine warm() { return run_until_bare(any_python(), {"-c", "pass"}, base_environment()); }

  // Ends the daemon by its command and waits until it is gone.
  static void stop() {
    const pid_t pid = daemon_pid();
    kiln({"daemon", "stop"});
    EXPECT_TRUE(pid <= 0 || wait_gone(pid, 10'000));
  }

  static Invocation waiting_program() {
    return {
        .argv = {kiln_binary(), "run", "--python", any_python().path, programs_dir() + "/wait_for_line.py"},
        .in = Stream::pipe};
  }

  // The program, started before, ends as if nothing had happened.
  static void expect_undisturbed(Process& program) {
    program.write_input("a line\n");
    const Outcome outcome = program.finish();
    EXPECT_EQ(outcome.out, "ready\ngot a line\n");
    EXPECT_EQ(describe_status(outcome.status), "exit 21") << outcome.err;
    EXPECT_EQ(read_file(work_dir() + "/result.txt"), "a line\n");
  }

  static UniqueFd connect_to_daemon() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    const std::string path = runtime_dir() + "/kilnd.sock";
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    EXPECT_LT(path.size(), sizeof address.sun_path);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  static void send(const UniqueFd& fd, std::string_view bytes) {
    (void)::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
};

TEST_F(Daemon, ASecondOneInTheForegroundSaysThatOneRuns) {
  const pid_t daemon = daemon_pid();
  const Outcome second = kiln({"daemon", "run"});
  EXPECT_EQ(second.err, "error: a daemon already runs in " + runtime_dir() + "\n\nhint: kiln daemon stop\n");
  EXPECT_EQ(describe_status(second.status), "exit 1");
  EXPECT_EQ(daemon_pid(), daemon);
}

TEST_F(Daemon, ManyClientsStartExactlyOne) {
  stop();
  std::vector<std::unique_ptr<Process>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<Process>(
        Invocation{.argv = {kiln_binary(), "run", "--python", any_python().path, "-c", "print('hello')"}}));
  }
  for (auto& client : clients) {
    const Outcome outcome = client->finish();
    EXPECT_EQ(outcome.out, "hello\n");
    EXPECT_EQ(outcome.status, 0);
  }
  ASSERT_TRUE(warm().is_served());
  const pid_t daemon = daemon_pid();
  for (const pid_t pid : own_processes("kilnd")) {
    EXPECT_TRUE(pid == daemon || wait_gone(pid, 10'000)) << "a second daemon: " << pid;
  }
  const std::vector<pid_t> daemons = own_processes("kilnd");
  EXPECT_EQ(daemons, std::vector<pid_t>{daemon});
}

TEST_F(Daemon, FirstRunStartsItInTheBackground) {
  stop();
  Outcome outcome = kiln({"run", "--python", any_python().path, "-c", "print('hello')"});
  const LogLine log = take_log_line(outcome.err);
  EXPECT_EQ(outcome.out, "hello\n");
  EXPECT_EQ(log.mode, "exec") << log.line;
  EXPECT_EQ(log.reason, "no-daemon") << log.line;
  EXPECT_TRUE(warm().is_served());
}

TEST_F(Daemon, KilledWhileAProgramRuns) {
  Process program(waiting_program());
  ASSERT_TRUE(program.wait_for_output("ready\n"));
  const pid_t daemon = daemon_pid();
  ASSERT_GT(daemon, 0);
  ::kill(daemon, SIGKILL);
  ASSERT_TRUE(wait_gone(daemon));
  expect_undisturbed(program);
  EXPECT_TRUE(warm().is_served()) << "no new daemon took over";
  EXPECT_NE(daemon_pid(), daemon);
}

TEST_F(Daemon, StoppedWhileAProgramRuns) {
  Process program(waiting_program());
  ASSERT_TRUE(program.wait_for_output("ready\n"));
  stop();
  expect_undisturbed(program);
}

TEST_F(Daemon, RestartedWhileAProgramRuns) {
  Process program(waiting_program());
  ASSERT_TRUE(program.wait_for_output("ready\n"));
  const pid_t before = daemon_pid();
  EXPECT_EQ(describe_status(kiln({"daemon", "restart"}).status), "exit 0");
  EXPECT_NE(daemon_pid(), before);
  EXPECT_GT(daemon_pid(), 0);
  expect_undisturbed(program);
}

// The image is the program's parent. Its death is not the program's, whose exit code still arrives.
TEST_F(Daemon, ImagesKilledWhileAProgramRuns) {
  Process program(waiting_program());
  ASSERT_TRUE(program.wait_for_output("ready\n"));
  const std::string status = kiln({"status", "--json"}).out;
  const std::size_t images = status.find("\"images\"");
  ASSERT_NE(images, std::string::npos) << status;
  const std::string list = status.substr(images, status.find(']', images) - images);
  const std::regex form("\"pid\"\\s*:\\s*([0-9]+)");
  int killed = 0;
  for (std::sregex_iterator at(list.begin(), list.end(), form), end; at != end; ++at, ++killed) {
    ::kill(std::stoi((*at)[1]), SIGKILL);
  }
  EXPECT_GT(killed, 0) << status;
  expect_undisturbed(program);
  EXPECT_TRUE(warm().is_served()) << "no new image took over";
}

TEST_F(Daemon, SurvivesBadInput) {
  using namespace std::string_literals;
  const pid_t before = daemon_pid();
  const std::vector<std::string> inputs{
      "",                                                       // closed at once
      "\x05"s,                                                  // a header cut short
      "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",              // another protocol: an absurd length
      "\x10\x00\x00\x00\x63" + std::string(16, 'x'),            // a frame type that does not exist
      "\x20\x00\x00\x00\x01"s + "only part of it",              // a payload cut short
      "\xff\xff\xff\xff\x01"s,                                  // longer than any frame
      "\x08\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff"s,  // no protobuf message
      "\x00\x00\x00\x00\x01"s,                                  // an empty request: no protocol, no build
      "\x00\x00\x00\x00\x03"s,                                  // a launch, which is an image's affair
  };
  for (const std::string& input : inputs) send(connect_to_daemon(), input);
  const UniqueFd silent = connect_to_daemon();
  const UniqueFd half_spoken = connect_to_daemon();
  send(half_spoken, "\x20\x00\x00"s);
  EXPECT_TRUE(warm().is_served());
  EXPECT_EQ(daemon_pid(), before) << "the daemon died of it";
}

// The directory keeps others out; if somebody opened it, the daemon itself still asks the kernel who is
// there.
TEST_F(Daemon, RefusesAForeignUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  constexpr uid_t kNobody = 65534;
  const std::string socket = runtime_dir() + "/kilnd.sock";
  ::chmod(home_dir().c_str(), 0711);
  ::chmod(runtime_dir().c_str(), 0711);
  ::chmod(socket.c_str(), 0666);
  const std::string knock =
      "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(10)\ns.connect(sys.argv[1])\n"
      "try:\n    s.sendall(bytes([0, 0, 0, 0, 1]))\n    answer = s.recv(4096)\n"
      "except OSError as error:\n    answer = b'' if not isinstance(error, socket.timeout) else b'silence'\n"
      "print(answer == b'' or b'foreign-user' in answer)";
  const Outcome outcome = run({.argv = {"/usr/bin/python3", "-c", knock, socket}, .cwd = "/", .in_child = [] {
                                 if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) ::_exit(126);
                               }});
  ::chmod(socket.c_str(), 0600);
  ::chmod(runtime_dir().c_str(), 0700);
  ::chmod(home_dir().c_str(), 0700);
  EXPECT_EQ(outcome.out, "True\n") << outcome.err;
  EXPECT_TRUE(warm().is_served());
}

TEST_F(Daemon, OneThatIsStoppedIsNotWaitedForForever) {
  kiln({"daemon", "start"});
  write_file(work_dir() + "/a.py", "");
  const pid_t daemon = daemon_pid();
  kill_process(daemon, SIGSTOP);
  const std::vector<std::vector<std::string>> commands{{"status"},
                                                       {"list"},
                                                       {"explain", "a.py"},
                                                       {"precompile", "a.py"},
                                                       {"watch", "."},
                                                       {"unwatch", "."},
                                                       {"clean", "--orphans"},
                                                       {"clean", "--all"},
                                                       {"gc"},
                                                       {"daemon", "stop"},
                                                       {"daemon", "restart"},
                                                       {"daemon", "start"},
                                                       {"watch", "--follow"}};
  std::vector<std::unique_ptr<Process>> running;
  for (const auto& command : commands) {
    Invocation invocation{.argv = {kiln_binary()}};
    invocation.argv.insert(invocation.argv.end(), command.begin(), command.end());
    running.push_back(std::make_unique<Process>(invocation));
  }
  for (std::size_t at = 0; at < commands.size(); ++at) {
    const Outcome outcome = running[at]->finish();
    EXPECT_EQ(describe_status(outcome.status), "exit 3") << testing::PrintToString(commands[at]);
    EXPECT_EQ(outcome.err, "error: the daemon, pid " + std::to_string(daemon) +
                               ", does not answer; it may be stopped\n\nhint: kill -CONT " +
                               std::to_string(daemon) + "\n")
        << testing::PrintToString(commands[at]);
  }
  Outcome run = kiln({"run", "--python", any_python().path, "-c", "print(1)"}, {"KILN_LOG=1"});
  EXPECT_EQ(take_log_line(run.err).reason, "timeout");
  EXPECT_EQ(run.out, "1\n");
  kill_process(daemon, SIGCONT);
  EXPECT_EQ(describe_status(kiln({"status"}).status), "exit 0");
  EXPECT_EQ(daemon_pid(), daemon) << "what was given up takes no effect";
}

TEST_F(Daemon, SurvivesManyConnections) {
  const pid_t before = daemon_pid();
  std::vector<UniqueFd> connections;
  for (int i = 0; i < 200; ++i) connections.push_back(connect_to_daemon());
  EXPECT_EQ(describe_status(kiln({"run", "--python", any_python().path, "-c", "pass"}).status), "exit 0");
  connections.clear();
  EXPECT_TRUE(warm().is_served());
  EXPECT_EQ(daemon_pid(), before);
}

TEST_F(Daemon, ManyRunsAtOnceAllSucceed) {
  std::vector<std::unique_ptr<Process>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<Process>(Invocation{
        .argv = {kiln_binary(), "run", "--python", any_python().path, "-c",
                 "import sys; print(sys.argv[1]); sys.exit(int(sys.argv[1]))", std::to_string(i)}}));
  }
  for (int i = 0; i < 64; ++i) {
    const Outcome outcome = clients[static_cast<std::size_t>(i)]->finish();
    EXPECT_EQ(outcome.out, std::to_string(i) + "\n");
    EXPECT_EQ(describe_status(outcome.status), "exit " + std::to_string(i));
  }
}

// Descriptors that the daemon or an image kept would hold a pipeline's reader forever.
TEST_F(Daemon, KeepsNoDescriptorsOfARun) {
  for (int i = 0; i < 20; ++i) {
    const Outcome outcome = kiln({"run", "--python", any_python().path, "-c", "print(1)"});
    ASSERT_FALSE(outcome.timed_out);
  }
}

TEST_F(Daemon, CommandsStartStopRestart) {
  EXPECT_EQ(describe_status(kiln({"daemon", "start"}).status), "exit 0") << "it runs already";
  const pid_t first = daemon_pid();
  EXPECT_EQ(describe_status(kiln({"daemon", "restart"}).status), "exit 0");
  EXPECT_NE(daemon_pid(), first);
  EXPECT_EQ(describe_status(kiln({"daemon", "stop"}).status), "exit 0");
  EXPECT_TRUE(wait_gone(first));
  EXPECT_EQ(describe_status(kiln({"daemon", "start"}).status), "exit 0");
  EXPECT_GT(daemon_pid(), 0);
  EXPECT_EQ(describe_status(kiln({"daemon", "logs"}).status), "exit 0");
}

// Which a run begins beside its program, and not at once.
TEST_F(Daemon, StopEndsTheOneThatARunIsStarting) {
  stop();
  kiln({"run", "--python", any_python().path, "-c", "pass"});
  EXPECT_EQ(kiln({"daemon", "stop"}).out, "the daemon has stopped\n");
  EXPECT_THAT(own_processes("kilnd"), IsEmpty());
}

TEST_F(Daemon, WhatARunIsStartingIsGoneAfterCleanAll) {
  stop();
  kiln({"run", "--python", any_python().path, "-c", "pass"});
  EXPECT_EQ(kiln({"clean", "--all"}).err, "");
  EXPECT_THAT(own_processes("kilnd"), IsEmpty());
  EXPECT_FALSE(fs::exists(cache_dir()));
}

TEST_F(Daemon, OneThatCouldHaveNoSuccessorIsNotEnded) {
  const pid_t first = daemon_pid();
  write_file(work_dir() + "/file", "");
  write_file(work_dir() + "/log/kilnd.log/file", "");
  write_file(work_dir() + "/index/index.db/file", "");
  write_file(work_dir() + "/lock/index.db.lock/file", "");
  for (const char* cache : {"index", "lock"}) ::chmod((work_dir() + "/" + cache).c_str(), 0700);
  write_file(work_dir() + "/kiln.toml", "[images]\nlimit = \n");
  for (const char* change : {"KILN_CACHE_DIR=file", "KILN_CACHE_DIR=log", "KILN_CACHE_DIR=index",
                             "KILN_CACHE_DIR=lock", "KILN_CONFIG=", "KILN_LOG_LEVEL=no"}) {
    std::string bad = change;
    if (bad.find("LEVEL") == std::string::npos) bad.insert(bad.find('=') + 1, work_dir() + "/");
    const Outcome outcome = kiln({"daemon", "restart"}, {bad});
    EXPECT_THAT(outcome.err, HasSubstr("; the daemon that is running goes on as it is\n\nhint: ")) << bad;
    EXPECT_EQ(outcome.out, "") << bad;
    EXPECT_NE(outcome.status, 0) << bad;
    EXPECT_EQ(daemon_pid(), first) << bad;
  }
}

// As `kiln doctor` does, which holds its lock for an instant; here for longer.
TEST_F(Daemon, IsNotTakenForOneWhileItIsOnlyAskedFor) {
  stop();
  UniqueFd asker(::open((runtime_dir() + "/kilnd.lock").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(asker.get(), LOCK_SH), 0);
  Process daemon({.argv = {kiln_binary(), "daemon", "run"}});
  const std::string process = "/proc/" + std::to_string(daemon.pid());
  const auto has_asked = [&] {
    std::error_code gone;
    if (wait_gone(daemon.pid(), 0)) return true;
    if (fs::read_symlink(process + "/exe", gone).filename() != "kilnd") return false;
    for (const auto& fd : fs::directory_iterator(process + "/fd", gone)) {
      if (fs::read_symlink(fd.path(), gone) == runtime_dir() + "/kilnd.lock") return true;
    }
    return false;
  };
  EXPECT_TRUE(await(has_asked));
  ASSERT_FALSE(wait_gone(daemon.pid(), 0));
  asker.reset();
  EXPECT_TRUE(await([] { return daemon_pid() > 0; }));
  EXPECT_EQ(daemon_pid(), daemon.pid());
  kiln({"daemon", "stop"});
  EXPECT_EQ(describe_status(daemon.finish().status), "exit 0");
}

TEST_F(Daemon, SocketIsPrivate) {
  struct stat info {};
  ASSERT_EQ(::stat(runtime_dir().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 077U, 0U);
  ASSERT_EQ(::stat((runtime_dir() + "/kilnd.sock").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 077U, 0U);
}

}  // namespace
}  // namespace kiln::e2e
