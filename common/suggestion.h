// "Did you mean ...?"
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kiln {

// That of NAMES which WORD is most likely a misspelling of; nothing if none is near: within MOST letters, and
// a third of them.
std::optional<std::string_view> suggestion_for(std::string_view word, std::span<const std::string_view> names,
                                               std::size_t most = std::string_view::npos);

// The same as the end of a sentence: "; did you mean start?", or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> names);

}  // namespace kiln
