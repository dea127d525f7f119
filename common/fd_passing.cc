#include "common/fd_passing.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kiln {
namespace {

constexpr std::size_t kControlSize = CMSG_SPACE(kMaxPassedFds * sizeof(int));

Error peer_gone() {
  return {Reason::image_lost, "the peer closed the connection", {}};
}

// Reads errno. Of a socket with a time limit it says by EAGAIN that this has passed (socket(7), SO_RCVTIMEO).
Error socket_error(const char* what) {
  if (errno == EAGAIN) return {Reason::timeout, "no answer came in time", {}};
  if (errno == ECONNRESET || errno == EPIPE) return peer_gone();
  return errno_error(what);
}

Result<std::size_t> send_once(int socket, std::string_view bytes, std::span<const int> fds) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[kControlSize];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return socket_error("cannot send");
  return static_cast<std::size_t>(sent);
}

}  // namespace

Result<void> send_with_fds(int socket, std::string_view bytes, std::span<const int> fds) {
  if (fds.size() > kMaxPassedFds) return Error{Reason::descriptors, "too many descriptors to pass", {}};
  while (!bytes.empty()) {
    bytes.remove_prefix(TRY(send_once(socket, bytes, fds)));
    fds = {};
  }
  return {};
}

Result<Received> receive_with_fds(int socket, std::size_t max_bytes, int flags) {
  Received received;
  received.bytes.resize(max_bytes);
  iovec part{received.bytes.data(), max_bytes};
  alignas(cmsghdr) char control[kControlSize];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = 0;
  do {
    size = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return socket_error("cannot receive");
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      received.fds.emplace_back(fd);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0)
    return Error{Reason::descriptors, "descriptors were lost on the way", {}};
  received.bytes.resize(static_cast<std::size_t>(size));
  return received;
}

Result<ReceivedFrame> receive_frame(int socket) {
  ReceivedFrame result;
  // Appends exactly SIZE bytes to OUT, never reading into what follows: that may be for another process.
  const auto read_exactly = [&](std::string& out, std::size_t size) -> Result<void> {
    while (size > 0) {
      Received part = TRY(receive_with_fds(socket, size));
      if (part.bytes.empty()) return peer_gone();
      size -= part.bytes.size();
      out += part.bytes;
      for (auto& fd : part.fds) result.fds.push_back(std::move(fd));
    }
    return {};
  };
  std::string raw;
  TRY_VOID(read_exactly(raw, kFrameHeaderSize));
  const FrameHeader header = TRY(decode_frame_header(raw));
  result.frame.type = header.type;
  TRY_VOID(read_exactly(result.frame.payload, header.length));
  return result;
}

Result<int> check_peer(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return errno_error("cannot identify the peer");
  if (peer.uid != ::geteuid()) {
    return Error{Reason::foreign_user, "the peer belongs to user " + std::to_string(peer.uid), {}};
  }
  return peer.pid;
}

}  // namespace kiln
