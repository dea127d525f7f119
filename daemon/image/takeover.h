// A child takes the caller's state over: descriptors, working directory, environment, limits, signals.
// Nothing of it is visible outside this process, so it all happens before the client says go.
#pragma once

#include <span>
#include <vector>

#include "common/launch.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace kiln::image {

// Dispositions that the image changed for itself; children get them back.
struct ImageSignals {
  // In the image: ignores what a terminal sends to whole groups, and has its children stay zombies until it
  // reaps them, also where the program was started with SIGCHLD ignored, or ignores it by itself. (It is
  // blocked: by image.py, and before a program is left behind as an image.)
  static void install();
  // In a child.
  static void restore();
};

// Closes every descriptor that is not among WANTED.
void close_all_but(std::vector<int> wanted);

// Makes the passed descriptors those of this process, under the numbers they have in the caller, and closes
// all others but those in KEEP, which are moved out of the way, and OWN, the program's own. FDS: as they
// came, the working directory last.
Result<void> take_over_descriptors(const Launch& launch, std::vector<UniqueFd> fds, std::span<UniqueFd> keep,
                                   const std::vector<int>& own);

// Limits, affinity and the like: all else that the kernel holds, but for the umask, which a program that was
// run ahead may have changed (runs go on from there only with the umask that it was started with).
Result<void> take_over_process_state(const Launch& launch);

// The environment: of libc and of os.environ.
Result<void> take_over_environment(const Launch& launch);

// Signal dispositions as Python reports them.
void take_over_dispositions(const Launch& launch);

// Enters the caller's process group, with all signals blocked: until the caller has left it, both get what is
// sent to it. Last, for from here on others see this process, and its stops.
Result<void> join_process_group(pid_t group);

// The caller's signal mask (bit n-1: signal n); what was held back until now arrives.
void release_signals(std::uint64_t blocked);

// In the image: notes which variables the interpreter itself set while starting (LC_CTYPE, by PEP 538): a
// child needs them, too.
void note_own_environment_changes();

// In a program at its stop that was started with BEFORE (NAME=VALUE): the same, of the interpreter and the
// program. Needs a PythonAside.
void note_environment_changes_since(const std::vector<std::string>& before);

}  // namespace kiln::image
