#include "common/quantity.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <limits>
#include <span>

namespace kiln {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t size;  // in bytes, or in seconds
};

// The first of several names for one size is the one that is written; the last unit is 1.
constexpr std::array kByteUnits{
    Unit{"TiB", 1ULL << 40},
    Unit{"T", 1ULL << 40},
    Unit{"TB", 1'000'000'000'000},
    Unit{"GiB", 1ULL << 30},
    Unit{"G", 1ULL << 30},
    Unit{"GB", 1'000'000'000},
    Unit{"MiB", 1ULL << 20},
    Unit{"M", 1ULL << 20},
    Unit{"MB", 1'000'000},
    Unit{"KiB", 1ULL << 10},
    Unit{"K", 1ULL << 10},
    Unit{"KB", 1'000},
    Unit{"", 1},
    Unit{"B", 1},
};

constexpr std::array kTimeUnits{Unit{"d", 86'400}, Unit{"h", 3600}, Unit{"min", 60}, Unit{"s", 1}};
constexpr std::uint64_t kMaxSeconds = 36'525ULL * 86'400;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& letter : result) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return result;
}

// A number, perhaps a space, and one of UNITS, in any case of letters.
std::optional<std::uint64_t> parse_amount(std::string_view text, std::span<const Unit> units) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.size() > 1 && text.front() == ' ') text.remove_prefix(1);
  const auto unit = std::ranges::find(units, lower(text), [](const Unit& one) { return lower(one.name); });
  if (unit == units.end() || number > std::numeric_limits<std::uint64_t>::max() / unit->size)
    return std::nullopt;
  return number * unit->size;
}

// In the first of UNITS, which end with 1, of which it is a multiple.
std::string amount_text(std::uint64_t amount, std::span<const Unit> units) {
  const auto unit = std::ranges::find_if(
      units, [&](const Unit& one) { return one.size == 1 || (amount != 0 && amount % one.size == 0); });
  return std::to_string(amount / unit->size) + std::string(unit->name);
}

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  return parse_amount(text, kByteUnits);
}

std::string exact_bytes_text(std::uint64_t bytes) {
  return amount_text(bytes, kByteUnits);
}

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  const auto seconds = parse_amount(text, kTimeUnits);
  if (!seconds || *seconds > kMaxSeconds) return std::nullopt;
  return std::chrono::seconds(*seconds);
}

std::string exact_duration_text(std::chrono::seconds duration) {
  return amount_text(static_cast<std::uint64_t>(duration.count()), kTimeUnits);
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
