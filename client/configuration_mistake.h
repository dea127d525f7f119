// A mistake in the configuration, told by commands that do not need it: who asks how things are is to hear of
// it, and gets his answer.
#pragma once

#include <string>
#include <vector>

namespace kiln {

// On standard error, if the files that hold for one of PATHS, absolute, have one. None: for the current
// directory.
void warn_of_configuration(std::vector<std::string> paths = {});

}  // namespace kiln
