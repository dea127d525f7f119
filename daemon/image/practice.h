// What every run does first, done beforehand: by the image once, so that what it binds (symbols of shared
// libraries, codecs, type caches) is bound in every child, and by a waiting child, so that the pages it
// writes to are its own by the time a run arrives. That takes half a millisecond off a run of three.
#pragma once

#include "common/result.h"

namespace kiln::image {

// Makes standard streams, compiles and runs an empty program. Call when descriptors 0 to 2 are /dev/null.
// Leaves nothing behind but sys.stdin, stdout and stderr, which a run replaces. Fails with
// Reason::interpreter or Reason::streams.
Result<void> practise();

}  // namespace kiln::image
