// Why a path that somebody has given leads to nothing.
#pragma once

#include <string>

namespace kiln {

// "there is no such file", or why it cannot be reached, as through symbolic links that lead in a circle;
// empty: it is there.
std::string absence_of(const std::string& path);

}  // namespace kiln
