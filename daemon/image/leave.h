// Leaving: as Py_RunMain does, but without tearing the interpreter down where nobody could tell
// (Py_FinalizeEx in a forked child costs several milliseconds, leaving at once tenths of one).
//
// What tearing down shows to the world are finalizers: __del__, suspended generators, weakref callbacks, open
// files with unwritten data, and native types whose deallocation does something. Where none of the objects
// that the run made has any, Py_FinalizeEx is skipped. Threads are joined, atexit functions run and standard
// streams flushed either way, and the process leaves through exit(3), so that C buffers and C atexit
// functions have their turn.
#pragma once

#include <sys/types.h>

#include "common/launch.h"
#include "daemon/image/program.h"

namespace kiln::image {

// PAGE: where the exit code is noted, if this process is still OWNER.
[[noreturn]] void leave(Program::Outcome outcome, StatusPage* page, pid_t owner);

}  // namespace kiln::image
