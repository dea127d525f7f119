// Text of others, such as paths, in what a command prints.
#pragma once

#include <string>

namespace kiln {

// TEXT with its control characters escaped: it must not steer the terminal.
std::string printable(const std::string& text);

// PATH as one word of a shell command.
std::string shell_word(const std::string& path);

}  // namespace kiln
