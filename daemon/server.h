// Accepts connections on the daemon's socket and runs a session for each; shuts down in order.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <chrono>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/task_group.h"

namespace kiln {

class Handlers;

class Server {
 public:
  // SOCKET: bound and listening.
  Server(boost::asio::local::stream_protocol::acceptor socket, Handlers& handlers);

  // Accepts until stop().
  boost::asio::awaitable<void> run();
  // Accepts no more, lets sessions finish within a grace time, then ends the rest.
  boost::asio::awaitable<void> drain();
  void stop() { acceptor_.close(); }

  // For how long there has been no session.
  std::chrono::steady_clock::duration idle() const;

 private:
  boost::asio::awaitable<void> serve(boost::asio::local::stream_protocol::socket socket);

  boost::asio::local::stream_protocol::acceptor acceptor_;
  Handlers& handlers_;
  TaskGroup sessions_;
  std::chrono::steady_clock::time_point last_use_ = std::chrono::steady_clock::now();
};

// Binds SOCKET in a directory that is this user's alone, in the place of what a dead daemon left there. The
// caller holds the lifetime lock, so that no living daemon is robbed. Fails with Reason::already_running
// where somebody else listens, as systemd does for a daemon of its own.
Result<boost::asio::local::stream_protocol::acceptor> listen_on(boost::asio::any_io_executor executor,
                                                                const std::string& path);

// The same for a SOCKET that is bound already, and listens.
Result<boost::asio::local::stream_protocol::acceptor> take_over(boost::asio::any_io_executor executor,
                                                                UniqueFd socket);

}  // namespace kiln
