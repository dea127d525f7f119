// Lists of names in which an entry that ends in * stands for all names that begin so: "LANG", "LC_*". Header
// only, for the image library has it, too.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

namespace kiln {

constexpr bool matches(std::string_view name, std::string_view pattern) {
  if (!pattern.ends_with('*')) return name == pattern;
  pattern.remove_suffix(1);
  return name.starts_with(pattern);
}

constexpr bool matches_any(std::string_view name, std::span<const std::string_view> patterns) {
  return std::ranges::any_of(patterns, [&](std::string_view pattern) { return matches(name, pattern); });
}

}  // namespace kiln
