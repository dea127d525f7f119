// `kiln watch --follow`: says what the daemon compiles by itself, as it happens.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace kiln {

// Prints a line for each file below one of PATHS, absolute (none: anywhere), that is recompiled, or fails,
// until it is interrupted or nobody reads standard output any more. An Error: there is no daemon, or none any
// more.
Result<void> follow(const std::vector<std::string>& paths);

}  // namespace kiln
