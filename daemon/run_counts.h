// How many runs were served, and how many were executed, by reason: gathered in memory, kept in the index.
//
// What was served the images report, but for runs whose image was let go meanwhile. The rest the clients tell
// (common/run_tally.h).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <string>
#include <string_view>

#include "daemon/index.h"

namespace kiln {

namespace proto {
class StatsRequest;
}
class IndexThread;
class Session;

// Lines of a tally by reason. What names none is left out.
CountsByReason count_lines(std::string_view lines);

class RunCounts {
 public:
  RunCounts(IndexThread& index, std::string runtime_dir)
      : index_(index), runtime_dir_(std::move(runtime_dir)) {}

  void add_served() { ++served_; }
  // One of those went on from where its program was run ahead to.
  void add_warm(std::chrono::microseconds saved) {
    ++warm_;
    warm_saved_ += saved;
  }
  // Takes the tally, and has all be written.
  void write();
  boost::asio::awaitable<void> serve(Session& session, const proto::StatsRequest& request);

 private:
  IndexThread& index_;
  std::string runtime_dir_;
  // Not written yet.
  std::uint64_t served_ = 0;
  std::uint64_t warm_ = 0;
  std::chrono::microseconds warm_saved_{};
};

}  // namespace kiln
