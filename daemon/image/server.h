// An image's own loop: keeps spare children forked, learns which of them took which run, reaps them and tells
// each client how its program ended. Runs on the interpreter's main thread, with no Python frame below it,
// and holds the GIL for good: nothing of Python runs in an image once it serves.
#pragma once

#include <string>

#include "common/result.h"

namespace kiln::image {

// CHANNEL: the socket to the daemon, a descriptor of its own. GREETING: the first message on it. Does not
// return.
[[noreturn]] void serve(int channel, const std::string& greeting);

}  // namespace kiln::image
