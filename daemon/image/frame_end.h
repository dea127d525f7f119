// The moment at which a function of the program's returns.
#pragma once

#include <functional>
#include <string_view>

namespace kiln::image {

// Calls THEN once, as the innermost frame of FUNCTION in MODULE returns or raises. False: there is no such
// frame, or the program has a profile function of its own. Needs a PythonAside.
bool at_end_of(std::string_view module, std::string_view function, std::function<void()> then);

}  // namespace kiln::image
