#include "client/stand_in.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "client/command.h"
#include "client/own_title.h"
#include "client/process_end.h"
#include "client/signals.h"
#include "common/fd_passing.h"
#include "common/launch.h"

namespace kiln {
namespace {

// From a program's end to the image's word on it.
constexpr int kLastWordLimit_ms = 2000;
// From there to the end of its zombie.
constexpr int kReapLimit_ms = 200;

bool is_readable(int fd, int timeout_ms) {
  pollfd polled{fd, POLLIN, 0};
  return ::poll(&polled, 1, timeout_ms) != 0;
}

}  // namespace

void StandIn::stay() {
  be_nameless();
  close_program_descriptors();
  while (true) {
    std::array<pollfd, 3> polled{
        {{connection_, POLLIN, 0}, {signals_, POLLIN, 0}, {child_.pidfd.get(), POLLIN, 0}}};
    if (::poll(polled.data(), polled.size(), -1) < 0) continue;
    const bool is_over = polled[2].revents != 0;
    // The program is over. Its image has the last word, unless it hangs.
    if (is_over && (connection_ < 0 || !is_readable(connection_, kLastWordLimit_ms))) end_without_image();
    if (polled[0].revents != 0 || is_over) hear();
    if (polled[1].revents != 0) forward();
  }
}

// A reader of our standard output waits until every copy of it is closed.
void StandIn::close_program_descriptors() const {
  std::array keep{connection_, signals_, child_.pidfd.get(), child_.status_page.get(), timing_.fd()};
  std::ranges::sort(keep);
  unsigned first = 0;
  for (const int fd : keep) {
    if (fd < 0) continue;
    if (static_cast<unsigned>(fd) > first) ::close_range(first, static_cast<unsigned>(fd) - 1, 0);
    first = static_cast<unsigned>(fd) + 1;
  }
  ::close_range(first, ~0U, 0);
}

void StandIn::forward() {
  signalfd_siginfo info{};
  while (::read(signals_, &info, sizeof info) == sizeof info) {
    const auto sender = static_cast<pid_t>(info.ssi_pid);
    // The image's word, or our own stop. Another of our own came before we were Kiln.
    const bool is_stop = info.ssi_signo == SIGTSTP || info.ssi_signo == SIGTTIN || info.ssi_signo == SIGTTOU;
    const bool is_ours = info.ssi_code <= 0 && (sender == child_.image || (is_stop && sender == ::getpid()));
    if (!is_ours) send(static_cast<int>(info.ssi_signo));
  }
}

void StandIn::send(int signal) const {
  ::syscall(SYS_pidfd_send_signal, child_.pidfd.get(), signal, nullptr, 0);
}

// One word of the image.
void StandIn::hear() {
  const auto received = receive_frame(connection_);
  if (!received) {
    connection_ = -1;  // the program goes on without it
    return;
  }
  const Frame& frame = received->frame;
  if (frame.type == FrameType::ended) {
    const auto status = decode_ended(frame.payload);
    if (status) exit_like(*status);
  }
  if (frame.type == FrameType::stopped) {
    const auto signal = decode_stopped(frame.payload);
    if (signal) stop(*signal);
  }
}

// Stops by the very signal, which shells show. SIGSTOP, which cannot be held back, is the image's to send.
void StandIn::stop(int signal) {
  if (is_orphaned(group_.id())) return act_as_orphan(signal);
  ::signal(signal, SIG_DFL);
  ::kill(::getpid(), signal);
  // It is blocked, so it waits. Should the program have been continued by now, then either that can be read
  // here, or the image's SIGCONT comes later, which takes a waiting stop away (signal(7)).
  if (is_continued()) {
    ::signal(signal, SIG_IGN);  // forgets it
    return;
  }
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
  ::sigprocmask(SIG_BLOCK, &only, nullptr);
}

bool StandIn::is_continued() const {
  return is_readable(connection_, 0);
}

// The kernel lets no terminal stop a process of an orphaned group, and fails its reading and writing instead.
// It does not see the program's group as one, because of the image.
void StandIn::act_as_orphan(int signal) const {
  if (signal != SIGTSTP) send(SIGHUP);  // as it ends those that were stopped before; reading would stop again
  send(SIGCONT);
}

void StandIn::exit_like(int wait_status) {
  timing_.passed("the program");
  timing_.tell(child_.is_ahead ? "it was warm" : "it was bare");
  group_.rejoin();
  let_image_reap();
  if (WIFSIGNALED(wait_status)) die_of(WTERMSIG(wait_status));
  ::_exit(WEXITSTATUS(wait_status));
}

// The program stays a zombie until the group has a member again. It must be gone before we are: whoever waits
// for us may look. The image reaps it when it reads the end of what we say, and then closes its end, too.
void StandIn::let_image_reap() const {
  if (connection_ >= 0 && ::shutdown(connection_, SHUT_WR) == 0) is_readable(connection_, kReapLimit_ms);
}

// The image died. Its child lived on: the kernel, or the child's status page, knows how it ended.
void StandIn::end_without_image() {
  if (const auto status = wait_status_of_orphan(child_.pidfd.get())) exit_like(*status);
  StatusPage page;
  if (::pread(child_.status_page.get(), &page, sizeof page, 0) == sizeof page && page.exited != 0) {
    exit_like(W_EXITCODE(page.exit_code, 0));
  }
  exit_like(W_EXITCODE(kExitUnable, 0));
}

}  // namespace kiln
