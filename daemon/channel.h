// The daemon's side of a channel to an image (common/image_channel.h).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "common/result.h"
#include "common/unique_fd.h"

namespace kiln {

// A SOCK_SEQPACKET pair. OURS does not block: a full channel must not stop the daemon.
struct Channel {
  UniqueFd ours;
  UniqueFd theirs;
};
Result<Channel> make_channel();

// Waits until OURS can be read, which it can when the image dies, too. False: OURS was closed here.
boost::asio::awaitable<bool> is_readable(boost::asio::posix::stream_descriptor& ours);

}  // namespace kiln
