// Requests on their way through the service's thread and its workers, with a client on a thread of its own.
#include "daemon/precompile_service.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>

#include "common/fd_passing.h"
#include "common/pyc.h"
#include "tests/unit/pythons.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

namespace asio = boost::asio;
using Summary = proto::PrecompileEvent::Summary;

// A session, and the client's end of its connection.
struct Pair {
  explicit Pair(asio::io_context& context) : session(make(context)) {}

  UniqueFd client;  // first, for making the session sets it
  Session session;

 private:
  Session make(asio::io_context& context) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      throw std::runtime_error("socketpair");
    client.reset(ends[1]);
    return Session(Session::Socket(context, asio::local::stream_protocol(), ends[0]));
  }
};

// Reads until the summary, as `kiln precompile` does. Empty: the connection ended without one.
std::optional<Summary> read_summary(int client) {
  while (true) {
    const auto received = receive_frame(client);
    proto::Reply reply;
    if (!received || !reply.ParseFromString(received->frame.payload)) return std::nullopt;
    if (reply.precompile().has_summary()) return reply.precompile().summary();
  }
}

class PrecompileServiceTest : public testing::Test {
 protected:
  static constexpr int kFiles = 40;

  PrecompileServiceTest() {
    for (int i = 0; i < kFiles; ++i) scratch_.write("src/m" + std::to_string(i) + ".py", "x = 1\n");
    request_.add_targets()->set_path(scratch_ / "src");
    request_.mutable_targets(0)->set_spelling("src");
    request_.add_python(system_python().path);
    request_.add_optimize(0);
    request_.set_jobs(4);
    request_.set_umask(0022);
  }

  void serve(Pair& pair) {
    asio::co_spawn(context_, service_.serve(pair.session, request_), [&pair](std::exception_ptr failure) {
      EXPECT_EQ(failure, nullptr);
      ::shutdown(pair.client.get(), SHUT_RDWR);
    });
  }

  std::optional<Summary> ask() {
    Pair pair(context_);
    serve(pair);
    std::optional<Summary> summary;
    std::jthread client([&] { summary = read_summary(pair.client.get()); });
    context_.run();
    context_.restart();
    client.join();
    return summary;
  }

  Scratch scratch_;
  proto::PrecompileRequest request_;
  asio::io_context context_{1};
  IndexThread index_{scratch_ / "index.db"};
  Store disk_{scratch_ / "store", 0};
  WriteBehindStore store_{disk_};
  Overlay overlay_{scratch_ / "overlay", 1ULL << 30, index_};
  PrecompileService service_{index_, store_, overlay_};
};

TEST_F(PrecompileServiceTest, ServesARequest) {
  const auto summary = ask();
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->failure(), "");
  EXPECT_EQ(summary->compiled(), static_cast<std::uint64_t>(kFiles));
}

// Overwritten where marshal would not stumble: Python would run it.
TEST_F(PrecompileServiceTest, BytecodeThatWasWrittenOverIsMadeAnew) {
  ASSERT_TRUE(ask());
  const auto pyc = cache_from_source(scratch_ / "src/m7.py", system_python().cache_tag, 0);
  const std::string whole = read_file(pyc);
  const auto time = std::filesystem::last_write_time(pyc);
  const UniqueFd fd{::open(pyc.c_str(), O_WRONLY | O_CLOEXEC)};
  ASSERT_EQ(::pwrite(fd.get(), "\x07", 1, static_cast<off_t>(kMaxPycHeaderSize + 1)), 1);
  std::filesystem::last_write_time(pyc, time + std::chrono::seconds(1));
  ASSERT_NE(read_file(pyc), whole);
  const auto summary = ask();
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->compiled(), 1U);
  EXPECT_EQ(summary->fresh(), static_cast<std::uint64_t>(kFiles - 1));
  EXPECT_EQ(read_file(pyc), whole);
}

TEST_F(PrecompileServiceTest, RequestsThatComeTogetherTakeTurns) {
  Pair first(context_);
  Pair second(context_);
  serve(first);
  serve(second);
  std::optional<Summary> summaries[2];
  std::jthread one([&] { summaries[0] = read_summary(first.client.get()); });
  std::jthread other([&] { summaries[1] = read_summary(second.client.get()); });
  context_.run();
  one.join();
  other.join();
  ASSERT_TRUE(summaries[0] && summaries[1]);
  EXPECT_EQ(summaries[0]->compiled() + summaries[1]->compiled(), static_cast<std::uint64_t>(kFiles));
  EXPECT_EQ(summaries[0]->fresh() + summaries[1]->fresh(), static_cast<std::uint64_t>(kFiles));
}

TEST_F(PrecompileServiceTest, WhoYieldsWaitsForTheEndOfAllRequests) {
  Pair first(context_);
  Pair second(context_);
  serve(first);
  serve(second);
  context_.poll();
  std::optional<Summary> summaries[2];
  std::jthread one([&] { summaries[0] = read_summary(first.client.get()); });
  std::jthread other([&] { summaries[1] = read_summary(second.client.get()); });
  std::jthread loop([&] { context_.run(); });
  service_.wait_until_idle();
  for (int i = 0; i < kFiles; ++i) {
    const auto source = scratch_ / ("src/m" + std::to_string(i) + ".py");
    EXPECT_TRUE(std::filesystem::exists(cache_from_source(source, system_python().cache_tag, 0)));
  }
}

TEST_F(PrecompileServiceTest, AMissingInterpreterIsAFailure) {
  request_.set_python(0, scratch_ / "no-python");
  const auto summary = ask();
  ASSERT_TRUE(summary);
  EXPECT_NE(summary->failure(), "");
}

TEST_F(PrecompileServiceTest, AClientThatHangsUpWithdrawsItsRequest) {
  {
    Pair gone(context_);
    serve(gone);
    context_.poll();
    gone.client.reset();
    context_.restart();
    context_.run();
  }
  context_.restart();
  EXPECT_TRUE(ask());  // the thread is free again
}

TEST_F(PrecompileServiceTest, StoppingEndsARequestEarlyButWithASummary) {
  Pair pair(context_);
  serve(pair);
  context_.poll();
  service_.stop();
  std::optional<Summary> summary;
  std::jthread client([&] { summary = read_summary(pair.client.get()); });
  context_.restart();
  context_.run();
  client.join();
  ASSERT_TRUE(summary);
}

}  // namespace
}  // namespace kiln
