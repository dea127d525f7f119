// What stays behind of a rehearsal where it is about to look into its own project: a process that does
// nothing but fork when it is told to. After an edit, what comes before the project need not be run again.
//
// It is none of the images: those have lowered their fence, taken the recorders away, and noted what runs
// may not change.
#pragma once

#include <vector>

#include "common/unique_fd.h"

namespace kiln::image {

// Ends the process when the other end of SOCKET is closed. Returns in each of its forks, with the channels of
// the images that this shall leave on its way.
std::vector<UniqueFd> fork_on_order(const UniqueFd& socket);

}  // namespace kiln::image
