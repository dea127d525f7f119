// The header of a frame.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/frame.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto header = kiln::decode_frame_header(bytes);
  if (!header) return 0;
  kiln::require(header->length <= kiln::kMaxFramePayload);
  kiln::require(
      std::ranges::equal(kiln::encode_frame_header(*header), bytes.substr(0, kiln::kFrameHeaderSize)));
  return 0;
}
