// Work that blocks, on threads of its own, awaited from the one thread that runs everything else.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <type_traits>
#include <utility>

#include "daemon/caught.h"

namespace kiln {

// Runs FUNCTION on POOL and returns its value, a Result; an exception is an error of it. Not a coroutine
// itself: what it captures lives in the operation alone (g++ 12 destroys temporaries of co_await expressions
// twice).
template <class Function>
auto run_blocking(boost::asio::thread_pool& pool, Function function)
    -> boost::asio::awaitable<std::invoke_result_t<Function>> {
  using Value = std::invoke_result_t<Function>;
  auto initiate = [&pool](auto handler, Function work) {
    auto executor = boost::asio::prefer(boost::asio::get_associated_executor(handler),
                                        boost::asio::execution::outstanding_work.tracked);
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    boost::asio::post(pool, [shared, executor, work = std::move(work)]() mutable {
      auto value = std::make_shared<Value>(caught(work));
      boost::asio::post(executor, [shared, value] { std::move (*shared)(std::move(*value)); });
    });
  };
  return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Value)>(
      std::move(initiate), boost::asio::use_awaitable, std::move(function));
}

}  // namespace kiln
