// What stands in for the standard streams of a program that is run ahead: descriptors of the same kinds, so
// that the streams the program gets buffer as they will have to.
#pragma once

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace kiln::image {

// Makes descriptors 0 to 2 of KINDS (common/rehearsal.h). Fails where there is no stand-in. The result, if it
// is a descriptor, is to be kept open: the other side of a terminal.
Result<UniqueFd> place_stand_in_streams(const std::string& kinds);

}  // namespace kiln::image
