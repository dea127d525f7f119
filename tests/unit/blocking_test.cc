#include "daemon/blocking.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <new>
#include <optional>
#include <stdexcept>
#include <thread>

namespace kiln {
namespace {

namespace asio = boost::asio;

class Blocking : public testing::Test {
 protected:
  // The result of FUNCTION on the pool, as a coroutine on this thread gets it.
  template <class Function>
  Result<int> run(Function function) {
    std::optional<Result<int>> result;
    const auto keep = [&result](std::exception_ptr failure, Result<int> value) {
      ASSERT_EQ(failure, nullptr);
      result = std::move(value);
    };
    asio::co_spawn(context_, run_blocking(pool_, std::move(function)), keep);
    context_.run();
    context_.restart();
    return result.value_or(Error{Reason::internal, "no result", {}});
  }

  asio::io_context context_{1};
  asio::thread_pool pool_{1};
};

TEST_F(Blocking, RunsElsewhereAndReturnsHere) {
  std::thread::id there;
  const auto value = run([&there]() -> Result<int> {
    there = std::this_thread::get_id();
    return 42;
  });
  EXPECT_EQ(value.value(), 42);
  EXPECT_NE(there, std::this_thread::get_id());
}

TEST_F(Blocking, AnErrorComesBack) {
  const auto value = run([]() -> Result<int> { return Error{Reason::system, "no", {}}; });
  EXPECT_EQ(value.error().message, "no");
}

TEST_F(Blocking, AnExceptionIsAnErrorAndTheThreadLivesOn) {
  const auto no_memory = run([]() -> Result<int> { throw std::bad_alloc(); });
  EXPECT_EQ(no_memory.error().reason, Reason::internal);
  EXPECT_EQ(no_memory.error().message, "std::bad_alloc");
  EXPECT_EQ(run([]() -> Result<int> { throw std::runtime_error("a bug"); }).error().message, "a bug");
  EXPECT_EQ(run([]() -> Result<int> { return 7; }).value(), 7);
}

}  // namespace
}  // namespace kiln
