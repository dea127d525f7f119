// How every failure that ends a command looks: "error: what", and, if there is one, a blank line and "hint:
// the exact command", on standard error.
#pragma once

#include "common/result.h"

namespace kiln {

void print_error(const Error& error);

}  // namespace kiln
