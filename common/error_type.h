// Types of errors as Python names them, which documents and the index keep.
#pragma once

#include <string_view>

namespace kiln {

// Whether TYPE is OSError or one of its kind, which tell of a file's surroundings: not of what is in it.
bool is_system_error(std::string_view type);

}  // namespace kiln
