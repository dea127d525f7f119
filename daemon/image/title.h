// What ps(1), pgrep(1) and /proc/PID/{comm,cmdline,environ} show of a program: its own name, command line and
// environment, the latter where python's would lie, instead of those that its image was started with.
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

// Once, in the image, before code of the user's runs: that may name the process.
void note_name();

// Once, in the image, when its start is over.
void note_memory_layout();

// NAME is what execve(2) would call it. Lays the other two out as that does, strings one behind the other,
// and has the kernel show them. Returns the variables there; they stay for good.
std::vector<char*> show_as(const std::string& name, const std::vector<std::string>& command_line,
                           const std::vector<std::string>& environment);

}  // namespace kiln::image
