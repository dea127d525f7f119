// A mistake in the configuration, told by commands that do not need it: who asks how things are is to hear of
// it, and gets his answer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/result.h"

namespace kiln {

// A file that KILN_CONFIG names, and that is not there: what it was to say does not hold. (One that cannot be
// read is an error of load_config.)
std::optional<Error> missing_configuration();

// On standard error, if the files that hold for one of PATHS, absolute, have one. None: for the current
// directory.
void warn_of_configuration(std::vector<std::string> paths = {});

}  // namespace kiln
