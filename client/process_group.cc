#include "client/process_group.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "client/proc_stat.h"

namespace kiln {

ProcessGroup::ProcessGroup() : id_(::getpgrp()) {}

ProcessGroup::~ProcessGroup() {
  rejoin();
  release_holder();
}

// A leader cannot found another group: its own number is taken by this one. So a child founds it, and holds
// it, as a zombie, until this process has entered.
void ProcessGroup::prepare() {
  if (id_ != ::getpid()) return;
  holder_ = ::vfork();
  if (holder_ != 0) return;
  ::setpgid(0, 0);
  ::_exit(0);
}

Result<void> ProcessGroup::leave() {
  if (::setpgid(0, holder_) != 0) return errno_error("cannot leave the process group", Reason::setup);
  left_ = true;
  release_holder();
  return {};
}

void ProcessGroup::rejoin() {
  if (left_) (void)::setpgid(0, id_);  // fails where nobody is left in it, and so nobody waits for it
  left_ = false;
}

// The program that this process may yet become must not find an unknown child.
void ProcessGroup::release_holder() {
  while (holder_ > 0 && ::waitpid(holder_, nullptr, 0) < 0 && errno == EINTR) {
  }
  holder_ = 0;
}

bool is_orphaned(pid_t group) {
  constexpr int kParent = 4;
  const pid_t session = ::getsid(0);
  // 0: the parent lives in another PID namespace.
  for (pid_t ancestor = ::getppid(); ancestor > 0;) {
    if (::getsid(ancestor) != session) return true;
    if (::getpgid(ancestor) != group) return false;
    ancestor = static_cast<pid_t>(proc_stat_field(ancestor, kParent).value_or(0));
  }
  return true;
}

}  // namespace kiln
