// Text of others, such as paths, in what a command prints.
#pragma once

#include <string>

namespace kiln {

// TEXT with its control characters escaped: it must not steer the terminal. Of a whole message the lines
// stay.
std::string printable(const std::string& text, bool keeps_lines = false);

}  // namespace kiln
