// Paths of a command line of which there is nothing to tell: most likely they are misspelt.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace kiln {

// Fails with Reason::not_found where one of PATHS, absolute, is neither there nor in the index, which has
// sources that are gone, too, as long as their bytecode is there. HINT: the command that helps.
Result<void> check_known(const std::vector<std::string>& paths, const std::string& hint);

// The same of each by itself: those of PATHS that are not known are reported, and left out.
Result<std::vector<std::string>> known_ones_of(const std::vector<std::string>& paths,
                                               const std::string& hint);

// "; did you mean /app/src?", by what else is in the directory of PATH, absolute, or of what is missing above
// it. Empty: nothing there is near.
std::string meant_instead_of(const std::string& path);

}  // namespace kiln
