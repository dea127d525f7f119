#include "client/patience.h"

#include <poll.h>

#include "client/progress.h"
#include "common/quantity.h"

namespace kiln {
namespace {

constexpr int kStepMs = 100;

std::string so_far(const proto::Progress& progress) {
  const auto count = progress.directories();
  return count_text(count) + (count == 1 ? " directory" : " directories");
}

}  // namespace

Result<proto::Reply> receive_patiently(Connection& connection, const std::string& label,
                                       std::vector<UniqueFd>* fds) {
  Progress progress(label);
  std::string done;
  while (true) {
    pollfd waited{connection.fd(), POLLIN, 0};
    if (::poll(&waited, 1, kStepMs) <= 0) {
      progress.go_on(done, Progress::Clock::now());
      continue;
    }
    auto reply = connection.receive(fds);
    if (reply && reply->has_progress()) {
      done = so_far(reply->progress());
      continue;
    }
    progress.clear();
    return reply;
  }
}

}  // namespace kiln
