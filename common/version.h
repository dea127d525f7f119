// Which Kiln this is.
#pragma once

#include <cstdint>
#include <string_view>

namespace kiln {

// Raised when a peer that does not know of a change would misunderstand it.
constexpr std::uint32_t kProtocolVersion = 1;

std::string_view version();   // 0.1.0
std::string_view build_id();  // 0.1.0-1a2b3c4d5e6f: the version and a digest of the sources

}  // namespace kiln
