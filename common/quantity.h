// How people write amounts, and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kiln {

// "2GiB", "500 MB", "64k", "4096": bytes, in units of 1000 (KB, MB, GB, TB) or 1024 (KiB, MiB, GiB, TiB; K,
// M, G, T alone), in any case of letters. Nothing if TEXT is no such thing, or too large for the type.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

// "812 B", "1.5 KiB", "2.0 GiB".
std::string bytes_text(std::uint64_t bytes);

// "1,234,567".
std::string count_text(std::uint64_t count);

}  // namespace kiln
