// What an image, an interpreter of the user's, tells the daemon.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/image_channel.h"
#include "common/rehearsal.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  if (const auto greeting = kiln::decode_image_greeting(message)) {
    kiln::require(kiln::encode_image_greeting(*greeting) == message);
  }
  if (const auto report = kiln::decode_image_report(message)) {
    kiln::require(kiln::encode_image_report(*report) == message);
  }
  if (const auto report = kiln::decode_rehearsal_report(message)) {
    kiln::require(kiln::encode_rehearsal_report(*report) == message);
  }
  return 0;
}
