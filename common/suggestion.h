// "Did you mean ...?"
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kiln {

// That of NAMES which WORD is most likely a misspelling of; nothing if none is near.
std::optional<std::string_view> suggestion_for(std::string_view word,
                                               std::span<const std::string_view> names);

// The same as the end of a sentence: "; did you mean start?", or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> names);

}  // namespace kiln
