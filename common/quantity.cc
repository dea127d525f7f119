#include "common/quantity.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <limits>

namespace kiln {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};

constexpr std::array kUnits{
    Unit{"", 1},
    Unit{"b", 1},
    Unit{"k", 1ULL << 10},
    Unit{"kib", 1ULL << 10},
    Unit{"kb", 1'000},
    Unit{"m", 1ULL << 20},
    Unit{"mib", 1ULL << 20},
    Unit{"mb", 1'000'000},
    Unit{"g", 1ULL << 30},
    Unit{"gib", 1ULL << 30},
    Unit{"gb", 1'000'000'000},
    Unit{"t", 1ULL << 40},
    Unit{"tib", 1ULL << 40},
    Unit{"tb", 1'000'000'000'000},
};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& letter : result) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return result;
}

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.size() > 1 && text.front() == ' ') text.remove_prefix(1);
  const auto* unit = std::ranges::find(kUnits, lower(text), &Unit::name);
  if (unit == kUnits.end() || number > std::numeric_limits<std::uint64_t>::max() / unit->bytes)
    return std::nullopt;
  return number * unit->bytes;
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr double kStep = 1024;
  constexpr std::array kNames{"KiB", "MiB", "GiB", "TiB"};
  if (bytes < kStep) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / kStep;
  std::size_t name = 0;
  for (; value >= kStep && name + 1 < kNames.size(); ++name) value /= kStep;
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", value, kNames[name]);
  return text;
}

std::string count_text(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

}  // namespace kiln
