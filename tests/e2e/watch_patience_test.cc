// `kiln watch` and `kiln unwatch` of trees that take long. The daemon is played by this process, which takes
// as long as it likes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "common/fd_passing.h"
#include "common/frame.h"
#include "common/unique_fd.h"
#include "proto/kiln.pb.h"
#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace {

using testing::HasSubstr;

class WatchPatience : public testing::Test {
 protected:
  void SetUp() override {
    reset_work_dir();
    kiln({"daemon", "stop"});
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    ASSERT_LT(path().size(), sizeof address.sun_path);
    std::memcpy(address.sun_path, path().c_str(), path().size() + 1);
    ::unlink(path().c_str());
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener_.get(), 4), 0);
  }
  void TearDown() override { ::unlink(path().c_str()); }

  static std::string path() { return runtime_dir() + "/kilnd.sock"; }

  static Invocation invocation(const std::string& command) {
    return {.argv = {kiln_binary(), command, work_dir()}, .err = Stream::with_stdout};
  }

  static bool is_readable(const UniqueFd& fd) {
    pollfd comes{fd.get(), POLLIN, 0};
    return ::poll(&comes, 1, kDeadlineMs) == 1;
  }

  UniqueFd accepted() const {
    return is_readable(listener_) ? UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC))
                                  : UniqueFd();
  }

  // The connection on which something is asked; whether one is there at all is asked on another before.
  UniqueFd asked() const {
    while (true) {
      UniqueFd connection = accepted();
      if (!connection) return {};
      const auto received = receive_frame(connection.get());
      proto::Request request;
      if (!received || !request.ParseFromString(received->frame.payload)) return {};
      if (request.has_watch()) return connection;
      reply(connection, {});
    }
  }

  static void reply(const UniqueFd& connection, const proto::Reply& reply) {
    EXPECT_TRUE(
        send_with_fds(connection.get(), encode_frame(FrameType::reply, reply.SerializeAsString()), {}));
  }

  static proto::Reply progress() {
    proto::Reply reply;
    reply.mutable_progress()->set_directories(12);
    return reply;
  }

  UniqueFd listener_;
};

// It was killed before it read what it is asked: the connection is reset.
TEST_F(WatchPatience, ADaemonThatEndsUnaskedHasEnded) {
  Process watch(invocation("watch"));
  const UniqueFd first = accepted();
  ASSERT_TRUE(receive_frame(first.get()));
  reply(first, {});
  UniqueFd second = accepted();
  ASSERT_TRUE(is_readable(second));
  second.reset();
  EXPECT_TRUE(
      watch.wait_for_output("error: the daemon has ended before it answered\n\n"
                            "hint: the same again starts another\n"));
}

TEST_F(WatchPatience, AnInterruptSaysWhatGoesOn) {
  Process watch(invocation("watch"));
  const UniqueFd connection = asked();
  ASSERT_TRUE(connection);
  reply(connection, progress());
  EXPECT_TRUE(watch.wait_for_output("watching 12 directories"));
  watch.signal(SIGINT);
  const Outcome outcome = watch.finish();
  EXPECT_THAT(outcome.out,
              HasSubstr("warning: " + work_dir() +
                        " stays watched: the daemon goes on looking through it\n\nhint: kiln unwatch " +
                        work_dir() + "\n"));
  EXPECT_EQ(describe_status(outcome.status), "signal 2");
}

TEST_F(WatchPatience, AnInterruptThatIsIgnoredIsIgnored) {
  Invocation ignoring = invocation("watch");
  ignoring.in_child = [] { std::signal(SIGINT, SIG_IGN); };
  Process watch(ignoring);
  const UniqueFd connection = asked();
  ASSERT_TRUE(connection);
  watch.signal(SIGINT);
  proto::Reply done;
  done.mutable_watch();
  reply(connection, done);
  const Outcome outcome = watch.finish();
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
}

TEST_F(WatchPatience, UnwatchingIsCalledThat) {
  Process unwatch(invocation("unwatch"));
  const UniqueFd connection = asked();
  ASSERT_TRUE(connection);
  reply(connection, progress());
  EXPECT_TRUE(unwatch.wait_for_output("unwatching 12 directories"));
  unwatch.signal(SIGINT);
  EXPECT_EQ(describe_status(unwatch.finish().status), "signal 2");
}

}  // namespace
}  // namespace kiln::e2e
