// The shortest body that passes for a whole code object of 3.11 to 3.14; to be run by nobody.
#pragma once

#include <string>

namespace kiln {

inline std::string tiny_code() {
  return "\xe3" + std::string(20, '\0') + "NNNNNNNN" + std::string(4, '\0') + "NN";
}

}  // namespace kiln
