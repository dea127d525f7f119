#include "daemon/session.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <array>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "common/fd_passing.h"
#include "common/frame.h"
#include "common/version.h"
#include "daemon/handlers.h"

namespace kiln {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr auto kRequestLimit = std::chrono::seconds(10);
// Requests are small; what is large, a launch, is not for the daemon.
constexpr std::size_t kMaxRequest = 1U << 20;

}  // namespace

asio::awaitable<void> Session::run(Handlers& handlers) {
  if (const auto peer = check_peer(socket_.native_handle()); !peer) {
    spdlog::warn("refused a connection: {}", peer.error().message);
    co_return co_await refuse(peer.error());
  }
  asio::steady_timer limit(socket_.get_executor(), kRequestLimit);
  boost::system::error_code timer_error;
  auto outcome =
      co_await (read_request() || limit.async_wait(asio::redirect_error(asio::use_awaitable, timer_error)));
  if (outcome.index() == 1) co_return;
  const auto& request = std::get<0>(outcome);
  if (!request) co_return co_await refuse(request.error());
  co_await handlers.handle(*this, *request);
}

// Reads exactly one frame: what follows a run request is for the image.
asio::awaitable<Result<proto::Request>> Session::read_request() {
  boost::system::error_code failed;
  auto token = asio::redirect_error(asio::use_awaitable, failed);
  std::array<char, kFrameHeaderSize> raw{};
  co_await asio::async_read(socket_, asio::buffer(raw), token);
  if (failed) co_return Error{Reason::protocol, "truncated frame", {}};
  const auto header = decode_frame_header({raw.data(), raw.size()});
  if (!header) co_return header.error();
  if (header->type != FrameType::request || header->length > kMaxRequest) {
    co_return Error{Reason::protocol, "not a request", {}};
  }
  std::string payload(header->length, '\0');
  co_await asio::async_read(socket_, asio::buffer(payload), token);
  proto::Request request;
  if (failed || !request.ParseFromString(payload)) co_return Error{Reason::protocol, "malformed request", {}};
  co_return request;
}

asio::awaitable<bool> Session::reply(const proto::Reply& reply) {
  boost::system::error_code failed;
  const std::string frame = encode_frame(FrameType::reply, reply.SerializeAsString());
  co_await asio::async_write(socket_, asio::buffer(frame), asio::redirect_error(asio::use_awaitable, failed));
  co_return !failed;
}

void Session::reply_with_fd(const proto::Reply& reply, int fd) {
  const std::array fds{fd};
  (void)send_with_fds(hand_over(), encode_frame(FrameType::reply, reply.SerializeAsString()), fds);
}

asio::awaitable<void> Session::refuse(const Error& error) {
  proto::Reply reply;
  reply.mutable_refusal()->set_reason(std::string(word(error.reason)));
  reply.mutable_refusal()->set_detail(error.message);
  reply.mutable_refusal()->set_hint(error.hint);
  co_await this->reply(reply);
}

int Session::hand_over() {
  const int fd = socket_.native_handle();
  // O_NONBLOCK belongs to the open file, which the other process will share.
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return fd;
}

bool Session::has_hung_up() {
  pollfd peer{socket_.native_handle(), POLLRDHUP, 0};
  return ::poll(&peer, 1, 0) > 0;
}

asio::awaitable<void> Session::wait_for_hang_up() {
  boost::system::error_code failed;
  char byte = 0;
  co_await socket_.async_receive(asio::buffer(&byte, 1), asio::redirect_error(asio::use_awaitable, failed));
}

}  // namespace kiln
