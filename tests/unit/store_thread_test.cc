#include "daemon/store_thread.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "tests/unit/scratch.h"

namespace kiln {
namespace {

namespace asio = boost::asio;

constexpr std::uint64_t kBlock = 4096;

class StoreThreadTest : public testing::Test {
 protected:
  static StoreKey key_of(int number) {
    return {sha256(std::to_string(number)), 1, "cpython-311", "3.11.2", 0, ""};
  }

  void fill(int count) {
    for (int i = 0; i < count; ++i) thread_.store().keep(key_of(i), {"code", ""});
    thread_.store().flush();
  }

  template <class Value>
  Value wait_for(asio::awaitable<Value> question) {
    std::optional<Value> answer;
    asio::co_spawn(context_, std::move(question), [&](std::exception_ptr failure, Value value) {
      EXPECT_EQ(failure, nullptr);
      answer = std::move(value);
    });
    context_.restart();
    context_.run();
    return *answer;
  }

  Scratch scratch_;
  asio::io_context context_{1};
  StoreThread thread_{scratch_ / "store", 64 * kBlock};
};

TEST_F(StoreThreadTest, CountsWhatLiesThereAtTheFirstQuestion) {
  Store earlier(scratch_ / "store", 64 * kBlock);
  ASSERT_TRUE(earlier.keep(key_of(100), {"code", ""}));
  EXPECT_EQ(wait_for(thread_.bytes()).value(), kBlock);
  fill(2);
  EXPECT_EQ(wait_for(thread_.bytes()).value(), 3 * kBlock);
}

TEST_F(StoreThreadTest, CountsWhatWaitsToo) {
  thread_.store().keep(key_of(1), {"code", ""});
  EXPECT_EQ(wait_for(thread_.bytes()).value(), kBlock);
  thread_.store().keep(key_of(2), {"code", ""});
  EXPECT_EQ(wait_for(thread_.bytes()).value(), 2 * kBlock);
}

TEST_F(StoreThreadTest, ShrinksToTheLimitAskedFor) {
  fill(20);
  EXPECT_EQ(wait_for(thread_.gc(std::nullopt))->objects, 20U);
  EXPECT_EQ(wait_for(thread_.gc(10 * kBlock))->objects, 9U);
  EXPECT_EQ(wait_for(thread_.gc(0))->objects, 0U);
}

TEST_F(StoreThreadTest, AGcTakesWhatWaitsToo) {
  thread_.store().keep(key_of(1), {"code", ""});
  EXPECT_EQ(wait_for(thread_.gc(std::nullopt))->objects, 1U);
  thread_.store().keep(key_of(2), {"code", ""});
  EXPECT_EQ(wait_for(thread_.gc(0))->objects, 0U);
  EXPECT_FALSE(thread_.store().find(key_of(2)));
}

TEST_F(StoreThreadTest, ClosingItWritesWhatWaits) {
  thread_.store().keep(key_of(1), {"code", ""});
  thread_.close();
  EXPECT_TRUE(Store(scratch_ / "store", kBlock).find(key_of(1)));
}

TEST_F(StoreThreadTest, KeepsTheStoreWithinItsLimitAsItGrows) {
  fill(200);
  // What was queued comes before this answer; since the last of it, less than a sixteenth was written.
  EXPECT_LE(wait_for(thread_.bytes()).value(), (64 + 5) * kBlock);
}

TEST_F(StoreThreadTest, ALowerLimitIsKeptAtOnce) {
  fill(20);
  thread_.set_limit(10 * kBlock);
  EXPECT_EQ(thread_.limit(), 10 * kBlock);
  EXPECT_EQ(wait_for(thread_.bytes()).value(), 9 * kBlock);
  thread_.set_limit(64 * kBlock);
  EXPECT_EQ(wait_for(thread_.gc(std::nullopt))->objects, 9U);
}

TEST_F(StoreThreadTest, AClosedOneMayStillBeWrittenTo) {
  thread_.close();
  fill(20);
  EXPECT_TRUE(thread_.store().find(key_of(1)));
}

}  // namespace
}  // namespace kiln
