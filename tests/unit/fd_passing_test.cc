#include "common/fd_passing.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace kiln {
namespace {

class FdPassing : public testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ours_.reset(fds[0]);
    peers_.reset(fds[1]);
  }

  UniqueFd ours_;
  UniqueFd peers_;
};

TEST_F(FdPassing, APeerThatClosedIsGone) {
  peers_.reset();
  const auto sent = send_with_fds(ours_.get(), "x", {});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().reason, Reason::image_lost);
  const auto received = receive_frame(ours_.get());
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().reason, Reason::image_lost);
}

// Of what it did not read, the connection is reset.
TEST_F(FdPassing, APeerThatDidNotReadIsGone) {
  ASSERT_TRUE(send_with_fds(ours_.get(), "x", {}));
  peers_.reset();
  const auto received = receive_frame(ours_.get());
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().reason, Reason::image_lost);
}

}  // namespace
}  // namespace kiln
