// One connection of a client: reads its request, has it handled, answers.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <span>
#include <string>

#include "common/result.h"
#include "proto/kiln.pb.h"

namespace kiln {

class Handlers;

class Session {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  explicit Session(Socket socket) : socket_(std::move(socket)) {}

  // A peer that is another user's, or talks nonsense, gets a refusal; one that says nothing is dropped in
  // time.
  boost::asio::awaitable<void> run(Handlers& handlers);

  // For handlers. Reply, with descriptors if any; false: the client is gone.
  boost::asio::awaitable<bool> reply(const proto::Reply& reply);
  void reply_with_fd(const proto::Reply& reply, int fd);
  boost::asio::awaitable<void> refuse(const Error& error);

  // The raw socket in blocking mode, as another process will use it. Still owned by the session, which must
  // not use it any more.
  int hand_over();

  // Whether the client has closed its end.
  bool has_hung_up();
  // Returns when it does, which is how it withdraws a request.
  boost::asio::awaitable<void> wait_for_hang_up();

 private:
  boost::asio::awaitable<Result<proto::Request>> read_request();

  Socket socket_;
};

}  // namespace kiln
