#include "client/signals.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstring>

namespace kiln {
namespace {

// All that can be blocked. SIGCHLD tells of this process's own children.
sigset_t forwarded_set() {
  sigset_t set;
  sigfillset(&set);
  sigdelset(&set, SIGCHLD);
  return set;
}

// The kernel's 64 signals lie in the first word of a sigset_t.
std::uint64_t to_bits(const sigset_t& set) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &set, sizeof bits);
  return bits;
}

}  // namespace

HeldSignals::HeldSignals() {
  const sigset_t set = forwarded_set();
  sigset_t former;
  ::sigprocmask(SIG_BLOCK, &set, &former);
  former_mask_ = to_bits(former);
}

HeldSignals::~HeldSignals() {
  sigset_t former;
  sigemptyset(&former);
  std::memcpy(&former, &former_mask_, sizeof former_mask_);
  ::sigprocmask(SIG_SETMASK, &former, nullptr);
}

UniqueFd HeldSignals::open_fd() const {
  const sigset_t set = forwarded_set();
  return UniqueFd{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
}

void die_of(int signal) {
  // A core of the client would be of no use; a limit of 0 does not keep core_pattern's programs from making
  // one.
  ::prctl(PR_SET_DUMPABLE, 0);
  ::signal(signal, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
  ::kill(::getpid(), signal);
  ::_exit(128 + signal);  // a signal that cannot kill, by its default action
}

}  // namespace kiln
