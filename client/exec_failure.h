// Why a program could not be executed, in words that say more than the error number.
#pragma once

#include <string>

#include "common/result.h"

namespace kiln {

// WHAT: "cannot run"; FAILURE: errno of the exec of PATH.
Error exec_failure(const std::string& what, const std::string& path, int failure);

}  // namespace kiln
