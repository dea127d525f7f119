// Owns coroutines: every task that is spawned belongs to a group that cancels and joins it. Nothing is
// detached.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <cstddef>
#include <list>

#include "daemon/event.h"

namespace kiln {

class TaskGroup {
 public:
  explicit TaskGroup(boost::asio::any_io_executor executor);

  // Starts TASK. An exception that leaves it is a bug: it is logged, and the task ends.
  void spawn(boost::asio::awaitable<void> task);
  std::size_t size() const { return running_.size(); }
  void cancel();
  // Returns when every task has ended.
  boost::asio::awaitable<void> join();

 private:
  struct Task {
    boost::asio::cancellation_signal cancellation;
    bool ended = false;
  };
  void end(std::list<Task>::iterator task);

  boost::asio::any_io_executor executor_;
  std::list<Task> running_;
  Event ended_;  // a task
};

}  // namespace kiln
