// What ps(1), pgrep -f and /proc/PID/{cmdline,environ} show of a program: its own command line and
// environment, where python's would lie, instead of those that its image was started with.
//
// The kernel shows the memory between four addresses, which PR_SET_MM_MAP of prctl(2) sets: without a
// privilege, but only together with the others that describe a process's memory. Those are read once, in the
// image. Where the kernel refuses (CONFIG_CHECKPOINT_RESTORE is off), the image's own stay.
//
// Rejected: writing over the strings that the image was started with, for which a longer command line has no
// room, and whose end the kernel would still take from the image.
#pragma once

#include <string>
#include <vector>

namespace kiln::image {

// Once, in the image.
void note_memory_layout();

// Lays both out as execve(2) does, strings one behind the other, and has the kernel show them. Returns the
// variables there; they stay for good.
std::vector<char*> show_as(const std::vector<std::string>& command_line,
                           const std::vector<std::string>& environment);

}  // namespace kiln::image
