// Standard streams as the interpreter makes them at start-up (create_stdio in Python/pylifecycle.c): their
// buffering depends on what the descriptors are, so a child makes them anew.
#pragma once

#include "common/result.h"

namespace kiln::image {

// Sets sys.stdin, stdout, stderr and their __dunder__ twins from descriptors 0 to 2. A closed one becomes
// None.
Result<void> make_standard_streams();

// After other descriptors of the same kinds were put in their places: lets their buffers know where in a file
// they stand.
void renew_positions();

}  // namespace kiln::image
