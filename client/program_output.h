// What another program says.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace kiln {

// Starts COMMAND, a path and its arguments, with nothing to read, and returns the first 64 KiB of its
// standard output. Nothing: it could not be started, did not end with 0, or not within ten seconds, when it
// is killed.
std::optional<std::string> program_output(std::vector<std::string> command);

}  // namespace kiln
