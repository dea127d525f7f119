// Whether a program is an interpreter at all.
#pragma once

#include <string>

#include "common/result.h"

namespace kiln {

// Fails if PATH is a program, but no interpreter of Python; GIVEN is how the user named it. The daemon
// asks it for its version, as whenever something is compiled; a daemon is started if there is none.
Result<void> check_is_interpreter(const std::string& path, const std::string& given);

}  // namespace kiln
