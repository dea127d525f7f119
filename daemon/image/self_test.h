// Does this interpreter do what images rely on?
#pragma once

#include "common/result.h"

namespace kiln::image {

// Runs a few lines as a program would run, in a forked child. Fails with Reason::self_test.
Result<void> self_test();

}  // namespace kiln::image
