// The kernel's queue of inotify events: file names in it are others' making.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "daemon/watch/inotify.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto events = kiln::decode_events(bytes);
  const char* end_of_last = bytes.data();
  for (const auto& event : events) {
    if (event.name.empty()) continue;
    kiln::require(event.name.data() >= end_of_last);
    end_of_last = event.name.data() + event.name.size();
    kiln::require(end_of_last <= bytes.data() + bytes.size());
    kiln::require(event.name.find('\0') == std::string_view::npos);
  }
  // What is cut off makes no event, and changes none before it.
  const auto fewer = kiln::decode_events(bytes.substr(0, size / 2));
  kiln::require(fewer.size() <= events.size());
  kiln::require(std::equal(fewer.begin(), fewer.end(), events.begin()));
  return 0;
}
