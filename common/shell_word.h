// Words of the commands that hints name.
#pragma once

#include <string>

namespace kiln {

// PATH as one word of a shell command.
std::string shell_word(const std::string& path);

}  // namespace kiln
