// Colours, which say again what the words say: a terminal without them, and one who does not tell them apart,
// misses nothing.
#pragma once

#include <string>
#include <string_view>

namespace kiln {

enum class Colour { green, yellow, red, dim };

// Which one: of a state of bytecode, or of a finding's severity.
Colour colour_of(std::string_view word);

// TEXT in COLOUR, if COLOURED.
std::string in_colour(std::string_view text, Colour colour, bool coloured);

}  // namespace kiln
