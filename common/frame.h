// One frame on a stream socket: u32 payload length (little-endian), u8 type, payload.
//
// Client and daemon speak protobuf in kRequest and kReply frames. A run's connection is then handed, with the
// unread rest of what the client has sent, to an image, whose only library is the standard one: kLaunch and
// what it answers are flat lists of fields (common/fields.h).
//
// Rejected: SOCK_SEQPACKET, which keeps boundaries by itself but bounds a message by the socket buffer, while
// an environment may have megabytes; protobuf all through, which would put its runtime into every
// interpreter.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace kiln {

enum class FrameType : std::uint8_t {
  request = 1,    // client -> daemon: proto::Request
  reply = 2,      // daemon -> client: proto::Reply
  launch = 3,     // client -> image child: common/launch.h, with the program's descriptors
  ready = 4,      // child -> client: pid; with a pidfd and the status page (common/launch.h)
  go = 5,         // client -> child: from here on the program runs, exactly once
  refused = 6,    // child -> client, instead of ready: reason word, detail
  ended = 7,      // image -> client: how the program ended
  stopped = 8,    // image -> client: the program was stopped, by which signal
  continued = 9,  // image -> client: and runs again
  taken = 10,     // child -> client: it waits for the launch
};

constexpr std::size_t kFrameHeaderSize = 5;
// A launch holds argv and environment, which the kernel bounds at a quarter of the stack limit, at most 6
// MiB.
constexpr std::size_t kMaxFramePayload = 16U << 20;

struct FrameHeader {
  FrameType type{};
  std::uint32_t length = 0;  // bytes of payload that follow
};

std::array<char, kFrameHeaderSize> encode_frame_header(FrameHeader header);
// Fails with Reason::protocol on an unknown type or a length over kMaxFramePayload.
Result<FrameHeader> decode_frame_header(std::string_view bytes);
std::string encode_frame(FrameType type, std::string_view payload);

struct Frame {
  FrameType type{};
  std::string payload;
};

}  // namespace kiln
