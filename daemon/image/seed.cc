#include "daemon/image/seed.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

#include "common/fd_passing.h"

namespace kiln::image {

std::vector<UniqueFd> fork_on_order(const UniqueFd& socket) {
  struct sigaction former {};
  struct sigaction reaped_by_kernel {};
  reaped_by_kernel.sa_handler = SIG_IGN;
  ::sigaction(SIGCHLD, &reaped_by_kernel, &former);
  while (true) {
    auto order = receive_with_fds(socket.get(), 1);
    if (!order || order->fds.empty()) ::_exit(0);
    if (::fork() != 0) continue;
    ::sigaction(SIGCHLD, &former, nullptr);
    return std::move(order->fds);
  }
}

}  // namespace kiln::image
