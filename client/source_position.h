// Where in a source an error is.
#pragma once

#include <cstdint>
#include <string>

namespace kiln {

// ":3:7" behind a path, with as much of it as is known; 0: it is not.
std::string source_position(std::int32_t line, std::int32_t column);

}  // namespace kiln
