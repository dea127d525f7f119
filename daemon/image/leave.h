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

// A run's process, and what it shares with others.
struct RunProcess {
  pid_t pid = 0;
  pid_t image = 0;
  StatusPage* page = nullptr;  // where the exit code is noted
  pid_t* heir = nullptr;       // heir.h
};

// This process is RUN's, or a fork of it.
[[noreturn]] void leave(const Program::Outcome& outcome, const RunProcess& run);

}  // namespace kiln::image
