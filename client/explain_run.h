// `kiln explain run`: how a run would be served if it came now, and why. Nothing is run.
#pragma once

#include <span>

namespace kiln {

// ARGUMENTS: those of `kiln run`, with --json before them where that is wanted.
int explain_run_command(std::span<char*> arguments);

}  // namespace kiln
