// Standard streams as the interpreter makes them at start-up (create_stdio in Python/pylifecycle.c): their
// buffering depends on what the descriptors are, so a child makes them anew.
#pragma once

#include "common/result.h"

namespace kiln::image {

// Sets sys.stdin, stdout, stderr and their __dunder__ twins from descriptors 0 to 2. A closed one becomes
// None.
Result<void> make_standard_streams();

}  // namespace kiln::image
