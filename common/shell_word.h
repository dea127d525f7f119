// Words of the commands that hints name.
#pragma once

#include <string>

namespace kiln {

// PATH as one word of a shell command.
std::string shell_word(const std::string& path);

// The same of any word: options stay options, for which shell_word() has "./x" in the place of "-x".
std::string shell_argument(const std::string& word);

// The command that takes PATH, which is of Kiln's own name, out of the way, to a name that is free.
std::string move_aside(const std::string& path);

}  // namespace kiln
