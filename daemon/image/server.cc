#include "daemon/image/server.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "common/fd_passing.h"
#include "common/fields.h"
#include "common/image_channel.h"
#include "common/imported_sources.h"
#include "common/launch.h"
#include "daemon/image/child.h"
#include "daemon/image/fork.h"
#include "daemon/image/run_notes.h"

namespace kiln::image {
namespace {

constexpr std::size_t kSpares = 2;
constexpr std::size_t kMaxLostSpares = 8;  // that die before they took a run: then something is wrong here
constexpr std::size_t kMaxEntries = 256;
constexpr int kIdleLimit_ms = 15 * 60 * 1000;  // an image that nobody used for so long ends

struct Run {
  UniqueFd connection;  // the client's
  RunNotes notes;
};

// Hashes of what a run imported.
struct Imports {
  std::uint64_t opened = 0;   // the files, in their order
  std::uint64_t sources = 0;  // RunRecord::imports_hash
};

class Server {
 public:
  explicit Server(int channel) : channel_(channel) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) ::_exit(1);
    taken_.reset(pair[0]);
    sockets_ = ImageSockets{channel, pair[1]};
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    signals_.reset(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
    // Ends with the session: its leader's end is its end. One in another PID namespace (0) leaves idling as
    // the limit.
    const pid_t leader = ::getsid(0);
    leader_.reset(static_cast<int>(::syscall(SYS_pidfd_open, leader, 0)));
    if (leader != 0 && !leader_ && errno == ESRCH) ::_exit(1);
  }

  void greet(const std::string& greeting) {
    if (!send_with_fds(channel_, greeting, {})) ::_exit(1);
  }

  [[noreturn]] void loop() {
    while (serving_ || !running_.empty() || !spares_.empty()) {
      fill_spares();
      wait();
    }
    ::_exit(0);
  }

 private:
  void fill_spares() {
    while (serving_ && spares_.size() < kSpares) {
      auto notes = RunNotes::make();
      const pid_t pid = fork_interpreter();
      if (pid == 0) be_child(sockets_, image_, std::move(notes));
      if (pid < 0)
        return stop();  // connections that wait in the channel close with it, and their clients exec
      notes.keep_from_forks();
      spares_.emplace(pid, std::move(notes));
    }
  }

  void wait() {
    std::vector<pollfd> polled{{channel_, 0, 0},
                               {taken_.get(), POLLIN, 0},
                               {signals_.get(), POLLIN, 0},
                               {serving_ ? leader_.get() : -1, POLLIN, 0}};
    if (!serving_) polled[0].fd = -1;
    // Only a hang-up matters: what a client sends is its child's to read.
    for (const auto& [pid, run] : running_) polled.push_back({run.connection.get(), POLLRDHUP, 0});
    const int count = ::poll(polled.data(), polled.size(), running_.empty() && serving_ ? kIdleLimit_ms : -1);
    if (count == 0) stop();
    if (count <= 0) return;
    if (polled[1].revents != 0) note_taken();
    if (polled[2].revents != 0) reap();
    if (polled[0].revents != 0 || polled[3].revents != 0) stop();
    kill_abandoned(std::span(polled).subspan(4));
  }

  // Takes no more runs.
  void stop() {
    if (!serving_) return;
    serving_ = false;
    // Spares read the end of it and leave; one that took a run just now is left to it.
    ::shutdown(channel_, SHUT_RDWR);
  }

  void note_taken() {
    while (true) {
      auto message = receive_with_fds(taken_.get(), sizeof(pid_t), MSG_DONTWAIT);
      if (!message || message->bytes.size() != sizeof(pid_t) || message->fds.size() != 1) return;
      pid_t pid = 0;
      std::memcpy(&pid, message->bytes.data(), sizeof pid);
      auto spare = spares_.extract(pid);
      if (spare.empty()) continue;
      running_.emplace(pid, Run{std::move(message->fds[0]), std::move(spare.mapped())});
    }
  }

  void reap() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    }
    note_taken();  // a child says so before it can end
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) end_child(pid, status);
  }

  void end_child(pid_t pid, int status) {
    const auto found = running_.find(pid);
    if (found == running_.end()) {
      if (spares_.erase(pid) != 0 && ++lost_spares_ > kMaxLostSpares) stop();
      return;
    }
    const std::string frame = encode_frame(FrameType::ended, encode_ended(status));
    (void)::send(found->second.connection.get(), frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    RunRecord run = found->second.notes.read();
    running_.erase(found);
    ++served_;
    report(std::move(run));
  }

  void report(RunRecord run) {
    if (!serving_) return;
    const bool same_imports = has_same_imports(run);
    ImageReport report{served_, running_.size(), same_imports, std::move(run)};
    if (report.same_imports) report.run.imported.clear();
    const std::string message = encode_image_report(report);
    (void)::send(channel_, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  // As the last time: the daemon need not hear of them again. Fills in their hash.
  bool has_same_imports(RunRecord& run) {
    const Imports now{hash_of_sources(run.imported), 0};
    if (imports_.size() >= kMaxEntries) imports_.clear();
    const auto [found, is_new] = imports_.try_emplace(run.entry, now);
    const bool same = !is_new && found->second.opened == now.opened;
    if (!same) found->second = {now.opened, hash_of_sources(imported_sources(run.imported))};
    run.imports_hash = found->second.sources;
    return same;
  }

  // The client is gone: so is its program, with its group.
  void kill_abandoned(std::span<const pollfd> connections) {
    for (const pollfd& connection : connections) {
      if (connection.revents == 0) continue;
      const auto found = std::ranges::find_if(
          running_, [&](const auto& entry) { return entry.second.connection.get() == connection.fd; });
      if (found == running_.end()) continue;
      ::kill(-found->first, SIGKILL);
      ::kill(found->first, SIGKILL);
      found->second.connection.reset();  // not to be polled again, should the child not die
    }
  }

  const pid_t image_ = ::getpid();
  int channel_;
  ImageSockets sockets_;
  UniqueFd taken_;
  UniqueFd signals_;
  UniqueFd leader_;
  bool serving_ = true;
  std::map<pid_t, RunNotes> spares_;
  std::map<pid_t, Run> running_;
  std::size_t lost_spares_ = 0;
  std::uint64_t served_ = 0;
  std::map<std::string, Imports> imports_;  // of each entry's last run
};

}  // namespace

void serve(int channel, const std::string& greeting) {
  Server server(channel);
  server.greet(greeting);
  server.loop();
}

}  // namespace kiln::image
