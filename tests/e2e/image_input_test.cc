// What an image's children read comes from the client, over a connection that the daemon has handed on: here
// the client is the test, and talks nonsense.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>

#include "client/background.h"
#include "client/connection.h"
#include "client/context.h"
#include "client/handover.h"
#include "common/fd_passing.h"
#include "common/launch.h"
#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace {

class ImageInput : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("KILN_RUNTIME_DIR", runtime_dir().c_str(), 1);
    ::setenv("KILN_CACHE_DIR", cache_dir().c_str(), 1);
    // Starts the daemon, and an image of this session.
    ASSERT_TRUE(run_until_bare(any_python(), {"-c", "pass"}, base_environment()).is_served());
    PythonCommand command;
    command.kind = TargetKind::command;
    command.target = "print('must not run')";
    request_ = make_run_request(*read_context(), {any_python().path, any_python().path}, command);
    // The variables of the harness's own runs, so that their image serves this.
    request_.mutable_key()->clear_environment();
    request_.mutable_key()->add_environment("LANG=C.UTF-8");
    request_.clear_environment();
    for (const auto& variable : base_environment()) request_.add_environment(variable);
  }

  // A connection whose launch an image's child waits for.
  Connection handed_over() {
    auto connection = Connection::open();
    proto::Request request;
    *request.mutable_run() = request_;
    EXPECT_TRUE(connection->send(std::move(request)));
    const auto answer = receive_frame(connection->fd());
    EXPECT_TRUE(answer && answer->frame.type == FrameType::taken);
    return std::move(*connection);
  }

  // What the child answers: the word of a refusal, or "" for a closed connection.
  static std::string answer(const Connection& connection) {
    const auto received = receive_frame(connection.fd());
    if (!received) return "";
    if (received->frame.type != FrameType::refused) return "something else";
    return std::string(word(decode_refused(received->frame.payload).reason));
  }

  void expect_alive() {
    EXPECT_TRUE(run_until_bare(any_python(), {"-c", "pass"}, base_environment()).is_served());
  }

  proto::RunRequest request_;
};

TEST_F(ImageInput, AMalformedLaunchIsRefused) {
  const Connection connection = handed_over();
  ASSERT_TRUE(send_with_fds(connection.fd(), encode_frame(FrameType::launch, "nonsense"), {}));
  EXPECT_EQ(answer(connection), "protocol");
  expect_alive();
}

TEST_F(ImageInput, ALaunchWithoutItsDescriptorsIsRefused) {
  const Connection connection = handed_over();
  Launch launch;
  launch.kind = TargetKind::command;
  launch.target = "print('must not run')";
  launch.descriptors = {0, 1, 2};
  ASSERT_TRUE(send_with_fds(connection.fd(), encode_frame(FrameType::launch, encode_launch(launch)), {}));
  EXPECT_EQ(answer(connection), "descriptors");
  expect_alive();
}

TEST_F(ImageInput, AnOversizedOrUnknownFrameIsRefused) {
  for (const char* header : {"\xff\xff\xff\xff\x03", "\x01\x00\x00\x00\x63"}) {
    const Connection connection = handed_over();
    ASSERT_TRUE(send_with_fds(connection.fd(), std::string_view(header, 5), {}));
    EXPECT_EQ(answer(connection), "protocol");
  }
  expect_alive();
}

TEST_F(ImageInput, AClientThatLeavesHalfWayIsForgotten) {
  for (const std::string_view part : {"", "\x10", "\x10\x00\x00\x00\x03half"}) {
    const Connection connection = handed_over();
    ASSERT_TRUE(send_with_fds(connection.fd(), part, {}));
    ::shutdown(connection.fd(), SHUT_WR);
    const std::string said = answer(connection);
    EXPECT_TRUE(said.empty() || said == "image-lost") << said;
  }
  expect_alive();
}

}  // namespace
}  // namespace kiln::e2e
