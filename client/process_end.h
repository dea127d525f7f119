// How a process ended that is not our child.
#pragma once

#include <optional>

namespace kiln {

// The wait status of the process behind PIDFD, which has ended and whose parent is to reap it; waits for
// that, but not for long. Empty where the kernel does not tell (before Linux 6.15).
std::optional<int> wait_status_of_orphan(int pidfd);

}  // namespace kiln
