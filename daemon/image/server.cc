#include "daemon/image/server.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/fd_passing.h"
#include "common/fields.h"
#include "common/image_channel.h"
#include "common/imported_sources.h"
#include "common/launch.h"
#include "daemon/image/child.h"
#include "daemon/image/fork.h"
#include "daemon/image/heir.h"
#include "daemon/image/hot_pages.h"
#include "daemon/image/run_notes.h"

namespace kiln::image {
namespace {

constexpr std::size_t kSpares = 2;
constexpr std::size_t kMaxLostSpares = 8;  // that die before they took a run: then something is wrong here
constexpr std::size_t kMaxEntries = 256;
constexpr int kIdleLimit_ms = 15 * 60 * 1000;  // an image that nobody used for so long ends
// Making a spare takes as long as a small program, and mostly the processor that it wants. While one waits,
// the next is made when the run that took the last has ended, or lasts.
constexpr int kLasting_ms = 20;
// That, and to take a program's memory apart, is milliseconds in the kernel, which nobody can interrupt. So
// first whoever waited for the run has the processor for a moment.
constexpr std::chrono::milliseconds kPause{5};

// A run that is over: its child is a zombie.
struct Ended {
  UniqueFd connection;  // the client's
  pid_t heir = 0;       // who has its memory; 0: nobody
};

struct Run {
  UniqueFd connection;  // the client's
  RunNotes notes;
  bool is_stopped = false;
};

// Hashes of what a run imported.
struct Imports {
  std::uint64_t opened = 0;   // the files, in their order
  std::uint64_t sources = 0;  // RunRecord::imports_hash
};

// What wait(2) would say of what waitid(2) says.
int wait_status(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return W_EXITCODE(info.si_status, 0);
  return info.si_status | (info.si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

class Server {
  using Clock = std::chrono::steady_clock;

 public:
  Server(ImageKind kind, int channel, std::vector<pid_t> other_children)
      : kind_(kind), channel_(channel), others_(std::move(other_children)) {
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

  void greet(const std::string& greeting, std::span<const int> fds) {
    if (!send_with_fds(channel_, greeting, fds)) ::_exit(1);
  }

  // Returns in children.
  Spare loop(const Practice& practise) {
    note_what_all_hold();
    if (auto spare = fill_spares()) return std::move(*spare);
    learn_hot_pages(practise);
    while (serving_ || !running_.empty() || !spares_.empty()) {
      if (auto spare = fill_spares()) return std::move(*spare);
      end_heirs();
      wait();
    }
    ::_exit(0);
  }

 private:
  pid_t fork_child() const { return kind_ == ImageKind::bare ? fork_interpreter() : ::fork(); }

  // A run may come while the child practises: two spares are there already.
  void learn_hot_pages(const Practice& practise) {
    hot_pages_.expect();
    practising_ = fork_child();
    if (practising_ != 0) return;
    practise(sockets_, image_, [this] { hot_pages_.note(); });
    ::_exit(0);
  }

  std::optional<Spare> fill_spares() {
    if (!spares_.empty() && Clock::now() < refill_at_) return std::nullopt;
    while (serving_ && spares_.size() < kSpares) {
      auto notes = RunNotes::make();
      const pid_t pid = fork_child();
      if (pid == 0) {
        hot_pages_.touch();
        return Spare{sockets_, image_, std::move(notes)};
      }
      if (pid < 0) {
        stop();  // connections that wait in the channel close with it, and their clients exec
        return std::nullopt;
      }
      notes.keep_from_forks();
      spares_.emplace(pid, std::move(notes));
    }
    return std::nullopt;
  }

  void wait() {
    std::vector<pollfd> polled{{channel_, 0, 0},
                               {taken_.get(), POLLIN, 0},
                               {signals_.get(), POLLIN, 0},
                               {serving_ ? leader_.get() : -1, POLLIN, 0}};
    if (!serving_) polled[0].fd = -1;
    // Only a hang-up matters: what a client sends is its child's to read.
    for (const auto& [pid, run] : running_) polled.push_back({run.connection.get(), POLLRDHUP, 0});
    for (const auto& [pid, ended] : ended_) polled.push_back({ended.connection.get(), POLLRDHUP, 0});
    const bool is_idle = running_.empty() && serving_;
    const auto due = next_due();
    const int count = ::poll(polled.data(), polled.size(),
                             due       ? milliseconds_until(*due)
                             : is_idle ? kIdleLimit_ms
                                       : -1);
    if (count == 0 && is_idle && !due) stop();
    if (count <= 0) return;
    if (polled[1].revents != 0) note_taken();
    if (polled[2].revents != 0) look_at_children();
    if (polled[0].revents != 0 || polled[3].revents != 0) stop();
    for (const pollfd& connection : std::span(polled).subspan(4)) {
      if (connection.revents != 0) hang_up(connection.fd);
    }
  }

  // When something is to be done that nobody else says. Nothing: never.
  std::optional<Clock::time_point> next_due() const {
    std::optional<Clock::time_point> due;
    if (serving_ && spares_.size() < kSpares) due = refill_at_;
    if (!heirs_.empty()) due = std::min(due.value_or(heirs_.front().first), heirs_.front().first);
    return due;
  }

  static int milliseconds_until(Clock::time_point then) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(then - Clock::now());
    return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  }

  void end_heirs() {
    for (; !heirs_.empty() && heirs_.front().first <= Clock::now(); heirs_.pop_front()) {
      const pid_t heir = heirs_.front().second;
      if (end_heir(heir)) others_.push_back(heir);
    }
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
      if (!message || message->bytes.size() != sizeof(pid_t) || message->fds.size() > 1) return;
      pid_t pid = 0;
      std::memcpy(&pid, message->bytes.data(), sizeof pid);
      auto spare = spares_.extract(pid);
      if (spare.empty()) continue;
      if (message->fds.empty()) {
        others_.push_back(pid);  // it rehearses
        continue;
      }
      running_.emplace(pid, Run{std::move(message->fds[0]), std::move(spare.mapped())});
      refill_at_ = Clock::now() + std::chrono::milliseconds(kLasting_ms);
    }
  }

  void look_at_children() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    }
    note_taken();  // a child says so before it can end
    std::vector<pid_t> children;
    for (const auto& [pid, notes] : spares_) children.push_back(pid);
    for (const auto& [pid, run] : running_) children.push_back(pid);
    for (const pid_t pid : children) look_at(pid);
    std::erase_if(others_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
    if (practising_ > 0 && ::waitpid(practising_, nullptr, WNOHANG) != 0) {
      hot_pages_.learn();
      practising_ = 0;
    }
  }

  void look_at(pid_t pid) {
    constexpr int kStops = WSTOPPED | WCONTINUED | WNOHANG;
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT | kStops) != 0 || info.si_pid == 0)
      return;
    if (info.si_code != CLD_STOPPED && info.si_code != CLD_CONTINUED)
      return end_child(pid, wait_status(info));
    info.si_pid = 0;
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, kStops) != 0 || info.si_pid == 0) return;
    const auto found = running_.find(pid);
    if (found == running_.end()) return;
    if (info.si_code == CLD_STOPPED) {
      stop_client(found->second, info.si_status);
    } else {
      continue_client(found->second);
    }
  }

  // The client is to stop by the same signal. SIGSTOP it could not hold back until it is sure that it must.
  static void stop_client(Run& run, int signal) {
    // Was continued and stopped again, which came as one: so must the client, for its parent to see both.
    if (run.is_stopped) signal_client(run, SIGCONT);
    run.is_stopped = true;
    if (signal == SIGSTOP) {
      signal_client(run, SIGSTOP);
    } else {
      tell(run.connection, encode_frame(FrameType::stopped, encode_stopped(signal)));
    }
  }

  // First the word, then the signal: client/stand_in.cc relies on it.
  static void continue_client(Run& run) {
    run.is_stopped = false;
    tell(run.connection, encode_frame(FrameType::continued, {}));
    signal_client(run, SIGCONT);
  }

  // The connection's peer lives as long as its end of the connection is open.
  static void signal_client(const Run& run, int signal) {
    const auto client = check_peer(run.connection.get());
    if (client && *client > 0) ::kill(*client, signal);  // 0: it lives in another PID namespace
  }

  static void tell(const UniqueFd& connection, const std::string& frame) {
    (void)::send(connection.get(), frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  void end_child(pid_t pid, int status) {
    const auto found = running_.find(pid);
    if (found == running_.end()) {
      reap(pid);
      if (spares_.erase(pid) != 0 && ++lost_spares_ > kMaxLostSpares) stop();
      return;
    }
    Run& run = found->second;
    tell(run.connection, encode_frame(FrameType::ended, encode_ended(status)));
    const pid_t heir = run.notes.named_heir();
    if (run.is_stopped) signal_client(run, SIGCONT);
    RunRecord record = run.notes.read();
    // The child stays a zombie, and with it its process group, until the client has returned there, and left.
    if (run.connection) {
      ended_.emplace(pid, Ended{std::move(run.connection), heir});
    } else {
      let_go(pid, heir);
    }
    running_.erase(found);
    ++served_;
    report(std::move(record));
  }

  void let_go(pid_t child, pid_t heir) {
    reap(child);
    if (heir > 0) heirs_.emplace_back(Clock::now() + kPause, heir);
  }

  static void reap(pid_t pid) { (void)::waitpid(pid, nullptr, WNOHANG); }

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

  // The client is gone: so is its program. What that started goes on, as when python is killed.
  void hang_up(int connection) {
    for (auto& [pid, run] : running_) {
      if (run.connection.get() != connection) continue;
      ::kill(pid, SIGKILL);
      run.connection.reset();  // not to be polled again, should the child not die
      return;
    }
    for (auto entry = ended_.begin(); entry != ended_.end(); ++entry) {
      if (entry->second.connection.get() != connection) continue;
      let_go(entry->first, entry->second.heir);
      ended_.erase(entry);
      refill_at_ = Clock::now() + kPause;
      return;
    }
  }

  const ImageKind kind_;
  const pid_t image_ = ::getpid();
  int channel_;
  ImageSockets sockets_;
  UniqueFd taken_;
  UniqueFd signals_;
  UniqueFd leader_;
  bool serving_ = true;
  std::map<pid_t, RunNotes> spares_;
  std::map<pid_t, Run> running_;
  std::vector<pid_t> others_;  // children that are no runs: rehearsals and heirs, until they end
  std::map<pid_t, Ended> ended_;
  std::deque<std::pair<Clock::time_point, pid_t>>
      heirs_;                    // of clients that have left, and when they are to end
  Clock::time_point refill_at_;  // not before, unless there is none
  std::size_t lost_spares_ = 0;
  pid_t practising_ = 0;
  HotPages hot_pages_;
  std::uint64_t served_ = 0;
  std::map<std::string, Imports> imports_;  // of each entry's last run
};

}  // namespace

Spare serve(ImageKind kind, int channel, const std::string& greeting, const Practice& practise,
            std::span<const int> greeting_fds, std::vector<pid_t> other_children) {
  Server server(kind, channel, std::move(other_children));
  server.greet(greeting, greeting_fds);
  return server.loop(practise);
}

}  // namespace kiln::image
