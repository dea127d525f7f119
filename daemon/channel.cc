#include "daemon/channel.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kiln {

namespace asio = boost::asio;

Result<Channel> make_channel() {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return errno_error("cannot create a channel");
  ::fcntl(pair[0], F_SETFL, O_NONBLOCK);
  return Channel{UniqueFd{pair[0]}, UniqueFd{pair[1]}};
}

asio::awaitable<bool> is_readable(asio::posix::stream_descriptor& ours) {
  boost::system::error_code failed;
  co_await ours.async_wait(asio::posix::stream_descriptor::wait_read,
                           asio::redirect_error(asio::use_awaitable, failed));
  co_return !failed && ours.is_open();
}

}  // namespace kiln
