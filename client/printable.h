// Text of others, such as paths, in what a command prints.
#pragma once

#include <string>

#include "common/printable.h"

namespace kiln {

// PATH as one word of a shell command.
std::string shell_word(const std::string& path);

}  // namespace kiln
