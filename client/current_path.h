// Paths as the daemon, which lives in another directory, must be told them.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace kiln {

// Each of PATHS, absolute, with no "." or ".." left in it. Fails if the current directory is gone.
Result<std::vector<std::string>> absolute_paths(const std::vector<std::string>& paths);

// The same, less those that lie below others, or are the same: what is below a path is counted with it.
Result<std::vector<std::string>> outermost_paths(const std::vector<std::string>& paths);

// The same of one.
Result<std::string> absolute_path_of(const std::string& path);

}  // namespace kiln
