// What a client sends to a child, and a child to a client.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/launch.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view payload(reinterpret_cast<const char*>(data), size);
  const auto launch = kiln::decode_launch(payload);
  if (launch) {
    const auto again = kiln::encode_launch(*launch);
    kiln::require(kiln::encode_launch(kiln::decode_launch(again).value()) == again);
  }
  if (const auto ready = kiln::decode_ready(payload)) {
    kiln::require(kiln::decode_ready(kiln::encode_ready(*ready)).value().pid == ready->pid);
  }
  if (const auto status = kiln::decode_ended(payload)) {
    kiln::require(kiln::decode_ended(kiln::encode_ended(*status)).value() == *status);
  }
  const auto refused = kiln::decode_refused(payload);
  kiln::require(kiln::decode_refused(kiln::encode_refused(refused)).reason == refused.reason);
  return 0;
}
