#include "daemon/task_group.h"

#include <spdlog/spdlog.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <exception>

namespace kiln {

namespace asio = boost::asio;

TaskGroup::TaskGroup(asio::any_io_executor executor) : executor_(std::move(executor)), ended_(executor_) {}

void TaskGroup::spawn(asio::awaitable<void> task) {
  running_.emplace_back();
  const auto self = std::prev(running_.end());
  const auto on_end = [this, self](std::exception_ptr failure) {
    end(self);
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      spdlog::error("a task ended by an exception: {}", error.what());
    }
  };
  asio::co_spawn(executor_, std::move(task), asio::bind_cancellation_slot(self->cancellation.slot(), on_end));
}

// co_spawn carries a cancellation out later, through the signal: it must outlive what is queued by now.
void TaskGroup::end(std::list<Task>::iterator task) {
  task->ended = true;
  asio::post(executor_, [this, task] {
    running_.erase(task);
    ended_.notify();
  });
}

void TaskGroup::cancel() {
  for (Task& task : running_) {
    if (!task.ended) task.cancellation.emit(asio::cancellation_type::terminal);
  }
}

asio::awaitable<void> TaskGroup::join() {
  while (!running_.empty()) co_await ended_.next();
}

}  // namespace kiln
