// Why a path that somebody has given leads to nothing.
#pragma once

#include <string>

#include "common/result.h"

namespace kiln {

// "there is no such file", or why it cannot be reached, as through symbolic links that lead in a circle;
// empty: it is there.
std::string absence_of(const std::string& path);

// There is nothing at PATH; false also where nobody can tell.
bool is_gone(const std::string& path);

// Fails with Reason::not_found if PATH cannot be reached, so that nobody can tell whether it is there.
Result<void> check_reachable(const std::string& path);

}  // namespace kiln
