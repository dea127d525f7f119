#include "client/process_end.h"

#include <poll.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstdint>

namespace kiln {
namespace {

// struct pidfd_info of <linux/pidfd.h>, in its first form; Debian 12's headers are older.
struct PidfdInfo {
  std::uint64_t mask = 0;
  std::uint64_t cgroup_id = 0;
  std::uint32_t ids[11] = {};
  std::int32_t exit_code = 0;  // a wait status
};
static_assert(sizeof(PidfdInfo) == 64, "PIDFD_INFO_SIZE_VER0");

constexpr std::uint64_t kInfoExit = 1U << 3;                    // PIDFD_INFO_EXIT
constexpr unsigned long kGetInfo = _IOWR(0xff, 11, PidfdInfo);  // PIDFD_GET_INFO

// A parent that does not reap: a container's first process, perhaps.
constexpr int kReapLimit_ms = 2000;

}  // namespace

std::optional<int> wait_status_of_orphan(int pidfd) {
  PidfdInfo info;
  // Old kernels know no such call; a bit that is not known is not set in the answer.
  if (::ioctl(pidfd, kGetInfo, &info) != 0 && errno == ENOTTY) return std::nullopt;
  pollfd polled{pidfd, 0, 0};  // POLLHUP: it was reaped
  ::poll(&polled, 1, kReapLimit_ms);
  info = PidfdInfo{};
  info.mask = kInfoExit;
  if (::ioctl(pidfd, kGetInfo, &info) != 0 || (info.mask & kInfoExit) == 0) return std::nullopt;
  return info.exit_code;
}

}  // namespace kiln
