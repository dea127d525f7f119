// Text as a part of a command that is told to people.
#pragma once

#include <string>

namespace kiln {

// PATH as one word of a shell command.
std::string shell_word(const std::string& path);

}  // namespace kiln
