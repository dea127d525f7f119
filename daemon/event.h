// Something that coroutines of one thread wait for, any number of them. Whoever waits looks again at what it
// waits for: there is nothing to be missed between a look and next().
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kiln {

class Event {
 public:
  explicit Event(boost::asio::any_io_executor executor)
      : timer_(std::move(executor), boost::asio::steady_timer::time_point::max()) {}

  void notify() { timer_.cancel(); }
  // Returns at the next notify(), or when the task is cancelled.
  boost::asio::awaitable<void> next() {
    boost::system::error_code ignored;
    co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }

 private:
  boost::asio::steady_timer timer_;  // never expires
};

}  // namespace kiln
