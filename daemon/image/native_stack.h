// Which native functions a program is in.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace kiln::image {

// Whether any of FUNCTIONS, by their addresses, is among the innermost LIMIT frames of this thread, through
// signal handlers, and within whatever Python code is running.
bool is_within(const std::vector<const void*>& functions, std::size_t limit);

// Whether a library whose file name begins with NAME is among them.
bool is_within_library(std::string_view name, std::size_t limit);

}  // namespace kiln::image
