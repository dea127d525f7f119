#include "client/colour.h"

namespace kiln {

Colour colour_of(std::string_view word) {
  if (word == "fresh" || word == "ok") return Colour::green;
  if (word == "stale" || word == "warn") return Colour::yellow;
  return word == "error" || word == "bad" ? Colour::red : Colour::dim;
}

std::string in_colour(std::string_view text, Colour colour, bool coloured) {
  if (!coloured) return std::string(text);
  constexpr std::string_view kBegin[] = {"\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[2m"};
  return std::string(kBegin[static_cast<std::size_t>(colour)]).append(text).append("\x1b[0m");
}

}  // namespace kiln
