// How people write amounts, and read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kiln {

// "2GiB", "500 MB", "64k", "4096": bytes, in units of 1000 (KB, MB, GB, TB) or 1024 (KiB, MiB, GiB, TiB; K,
// M, G, T alone), in any case of letters. Nothing if TEXT is no such thing, or too large for the type.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

// A short text that parse_bytes reads as BYTES exactly: "2GiB", "500MB", "4097".
std::string exact_bytes_text(std::uint64_t bytes);

// "30min", "90 s", "2h", "7d", in any case of letters. Nothing if TEXT is no such thing, has no unit, or is
// longer than a century, which no clock's arithmetic need bear.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);

// A short text that parse_duration reads as DURATION exactly: "90s", "30min".
std::string exact_duration_text(std::chrono::seconds duration);

// "812 B", "1.5 KiB", "2.0 GiB".
std::string bytes_text(std::uint64_t bytes);

// "1,234,567".
std::string count_text(std::uint64_t count);

}  // namespace kiln
