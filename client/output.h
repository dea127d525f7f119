// Standard output of a command. What a command prints is its result: that it could not be written is an
// error, and not seen by printf(3), which fills a buffer.
#pragma once

#include <string>

#include "common/result.h"

namespace kiln {

// From now on writing to a closed pipe fails with EPIPE, unless the caller of this process had SIGPIPE
// ignored anyway; what is executed later has SIGPIPE as we got it.
void outlive_closed_pipes();

// Standard output is a terminal that shows colours, and nobody has forbidden them (no-color.org).
bool wants_colour();

// Writes what is buffered. An Error if that, or anything written before it, failed; where it is closed, with
// the hint to give COMMAND again with somewhere to print.
Result<void> finish_output(const std::string& command);

}  // namespace kiln
