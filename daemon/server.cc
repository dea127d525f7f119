#include "daemon/server.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

#include "common/path_text.h"
#include "common/place.h"
#include "common/shell_word.h"
#include "common/unique_fd.h"
#include "daemon/handlers.h"
#include "daemon/session.h"

namespace kiln {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr auto kGrace = std::chrono::seconds(2);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);
constexpr std::size_t kMaxSessions = 1024;

bool is_listened_on(const stream_protocol::endpoint& address, const asio::any_io_executor& executor) {
  boost::system::error_code failed;
  stream_protocol::socket probe(executor, stream_protocol());
  probe.non_blocking(true, failed);
  probe.connect(address, failed);
  return !failed || failed == asio::error::try_again;  // again: more wait there than it takes
}

}  // namespace

Server::Server(stream_protocol::acceptor socket, Handlers& handlers)
    : acceptor_(std::move(socket)), handlers_(handlers), sessions_(acceptor_.get_executor()) {}

asio::awaitable<void> Server::run() {
  asio::steady_timer pause(acceptor_.get_executor());
  while (acceptor_.is_open()) {
    boost::system::error_code failed;
    auto socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, failed));
    if (!acceptor_.is_open()) co_return;
    if (!failed && sessions_.size() < kMaxSessions) {
      sessions_.spawn(serve(std::move(socket)));
    } else if (failed) {
      // Out of descriptors, most likely. Sessions that end will free some.
      spdlog::warn("cannot accept: {}", failed.message());
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, failed));
    }
  }
}

asio::awaitable<void> Server::serve(stream_protocol::socket socket) {
  Session session(std::move(socket));
  co_await session.run(handlers_);
  last_use_ = std::chrono::steady_clock::now();
}

std::chrono::steady_clock::duration Server::idle() const {
  if (sessions_.size() > 0) return {};
  return std::chrono::steady_clock::now() - last_use_;
}

asio::awaitable<void> Server::drain() {
  stop();
  asio::steady_timer grace(acceptor_.get_executor(), kGrace);
  boost::system::error_code ignored;
  co_await (sessions_.join() || grace.async_wait(asio::redirect_error(asio::use_awaitable, ignored)));
  sessions_.cancel();
  co_await sessions_.join();
}

Result<stream_protocol::acceptor> listen_on(asio::any_io_executor executor, const std::string& path) {
  // A path may be too long for an address: go through the directory's descriptor, as clients do.
  const std::string dir(directory_of(path));
  const UniqueFd dir_fd{::open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (::access(dir.c_str(), W_OK | X_OK) != 0) {
    Error error = errno_error("cannot write in " + dir);
    error.hint = errno == EACCES ? "chmod u+rwx " + shell_word(dir) : use_another("KILN_RUNTIME_DIR");
    return error;
  }
  const stream_protocol::endpoint address("/proc/self/fd/" + std::to_string(dir_fd.get()) +
                                          path.substr(path.rfind('/')));
  if (is_listened_on(address, executor))
    return Error{Reason::already_running, "another program listens on " + path,
                 "systemctl --user stop kilnd.socket"};
  ::unlink(path.c_str());
  boost::system::error_code failed;
  stream_protocol::acceptor acceptor(executor);
  acceptor.open(stream_protocol(), failed);
  if (!failed) acceptor.bind(address, failed);
  if (!failed && ::chmod(path.c_str(), 0600) != 0) return errno_error("cannot protect " + path);
  if (!failed) acceptor.listen(asio::socket_base::max_listen_connections, failed);
  if (failed) {
    const bool is_taken = failed == asio::error::address_in_use;  // by what is no socket, and not removed
    return Error{Reason::system, "cannot listen on " + path + ": " + failed.message(),
                 is_taken ? "rm -r " + shell_word(path) : use_another("KILN_RUNTIME_DIR")};
  }
  return acceptor;
}

Result<stream_protocol::acceptor> take_over(asio::any_io_executor executor, UniqueFd socket) {
  boost::system::error_code failed;
  stream_protocol::acceptor acceptor(executor);
  acceptor.assign(stream_protocol(), socket.get(), failed);
  if (!failed) (void)socket.release();
  // Once more: so clients find this process to be their peer, not who listened before.
  if (!failed) acceptor.listen(asio::socket_base::max_listen_connections, failed);
  if (failed)
    return Error{Reason::system, "cannot listen on the socket that was passed: " + failed.message(), {}};
  return acceptor;
}

}  // namespace kiln
