// Descriptors over Unix sockets (unix(7), SCM_RIGHTS).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/frame.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace kiln {

// SCM_MAX_FD of Linux: more in one message fail with EINVAL.
constexpr std::size_t kMaxPassedFds = 253;

// Writes all of BYTES to a blocking stream socket; FDS go along with the first byte. FDS stay the caller's.
Result<void> send_with_fds(int socket, std::string_view bytes, std::span<const int> fds);

struct Received {
  std::string bytes;
  std::vector<UniqueFd> fds;  // with O_CLOEXEC
};

// One recvmsg of up to MAX_BYTES. Empty bytes: the peer closed. Descriptors that did not fit (MSG_CTRUNC) are
// an error, for a program that lacks one of its descriptors must not start.
Result<Received> receive_with_fds(int socket, std::size_t max_bytes, int flags = 0);

struct ReceivedFrame {
  Frame frame;
  std::vector<UniqueFd> fds;
};

// Reads one whole frame from a blocking stream socket. A peer that closes in between is Reason::image_lost.
Result<ReceivedFrame> receive_frame(int socket);

// The peer's user must be ours (SO_PEERCRED). Returns the peer's pid.
Result<int> check_peer(int socket);

}  // namespace kiln
