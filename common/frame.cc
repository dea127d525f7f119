#include "common/frame.h"

#include <bit>
#include <cstring>

namespace kiln {

static_assert(std::endian::native == std::endian::little, "frames are written in host order");

std::array<char, kFrameHeaderSize> encode_frame_header(FrameHeader header) {
  std::array<char, kFrameHeaderSize> bytes{};
  std::memcpy(bytes.data(), &header.length, sizeof header.length);
  bytes[4] = static_cast<char>(header.type);
  return bytes;
}

Result<FrameHeader> decode_frame_header(std::string_view bytes) {
  if (bytes.size() < kFrameHeaderSize) return Error{Reason::protocol, "truncated frame header", {}};
  FrameHeader header;
  std::memcpy(&header.length, bytes.data(), sizeof header.length);
  header.type = static_cast<FrameType>(bytes[4]);
  if (header.type < FrameType::request || header.type > FrameType::taken) {
    return Error{Reason::protocol, "unknown frame type " + std::to_string(static_cast<int>(bytes[4])), {}};
  }
  if (header.length > kMaxFramePayload) {
    return Error{
        Reason::protocol, "frame of " + std::to_string(header.length) + " bytes is over the limit", {}};
  }
  return header;
}

std::string encode_frame(FrameType type, std::string_view payload) {
  const auto header = encode_frame_header({type, static_cast<std::uint32_t>(payload.size())});
  std::string bytes;
  bytes.reserve(header.size() + payload.size());
  bytes.append(header.data(), header.size());
  bytes.append(payload);
  return bytes;
}

}  // namespace kiln
