// Which native modules show nothing to the world when the interpreter is torn down around them?
#pragma once

#include <string>

namespace kiln::image {

// In an image, when it is complete: what it has loaded is judged once. Which of it is unknown: "the library
// /src/x.so"; empty: none.
std::string note_own_extensions();

// In a child, at the end of its program: true if a module was loaded whose types may do more than give memory
// back, or if it cannot be told.
bool has_unknown_extension();

}  // namespace kiln::image
