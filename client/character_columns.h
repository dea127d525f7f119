// How many columns of a terminal a character takes.
#pragma once

#include <optional>
#include <string_view>

namespace kiln {

// 1 or 2, of CHARACTER, one sequence of UTF-8. Nothing: terminals do not agree on it, or it joins others, as
// accents and the parts of an emoji do.
//
// Rejected: wcwidth(3), which knows as much as the locale, and a static program has none but "C".
std::optional<unsigned> character_columns(std::string_view character);

}  // namespace kiln
