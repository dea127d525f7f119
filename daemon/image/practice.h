// What every run does first, done beforehand by the image, so that what it binds (symbols of shared
// libraries, codecs, type caches) is bound in every child. And what every run does last, done by a child that
// practises (hot_pages.h).
#pragma once

#include <functional>

#include "common/launch.h"
#include "common/result.h"

namespace kiln::image {

// Makes standard streams, compiles and runs an empty program. Call when descriptors 0 to 2 are /dev/null.
// Leaves nothing behind but sys.stdin, stdout and stderr, which a run replaces. Fails with
// Reason::interpreter or Reason::streams.
Result<void> practise();

// A run of the same, as a client would order it, without descriptors.
Launch practice_launch();

// In a child that practises: all that a program does at its end, behind a fence, up to the first step that
// somebody could see, or that waits. Then, or where the kernel cannot fence, calls AT_END.
[[noreturn]] void practise_leaving(std::function<void()> at_end);

}  // namespace kiln::image
