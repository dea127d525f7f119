// What every run does first, done beforehand by the image, so that what it binds (symbols of shared
// libraries, codecs, type caches) is bound in every child.
#pragma once

#include "common/launch.h"
#include "common/result.h"

namespace kiln::image {

// Makes standard streams, compiles and runs an empty program. Call when descriptors 0 to 2 are /dev/null.
// Leaves nothing behind but sys.stdin, stdout and stderr, which a run replaces. Fails with
// Reason::interpreter or Reason::streams.
Result<void> practise();

// A run of the same, as a client would order it, without descriptors.
Launch practice_launch();

}  // namespace kiln::image
