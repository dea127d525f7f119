#include "daemon/image/priority.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace kiln::image {
namespace {

// linux/ioprio.h, which Debian 11 has not.
constexpr int kOfProcess = 1;
constexpr int kClassShift = 13;
constexpr int kRealTime = 1;
constexpr int kIdle = 3;

long former_io = -1;  // -1: it was not lowered
bool is_batch = false;

void set_policy(int policy) {
  const sched_param none{};
  ::sched_setscheduler(0, policy, &none);
}

}  // namespace

void lower_priority() {
  is_batch = ::sched_getscheduler(0) == SCHED_OTHER;
  if (is_batch) set_policy(SCHED_BATCH);
  const long io = ::syscall(SYS_ioprio_get, kOfProcess, 0);
  const bool may_come_back = io >= 0 && io >> kClassShift != kRealTime;
  former_io = may_come_back ? io : -1;
  if (may_come_back) ::syscall(SYS_ioprio_set, kOfProcess, 0, kIdle << kClassShift);
}

void restore_priority() {
  if (is_batch) set_policy(SCHED_OTHER);
  if (former_io >= 0) ::syscall(SYS_ioprio_set, kOfProcess, 0, former_io);
}

}  // namespace kiln::image
