// Forking an interpreter from C.
#pragma once

#include <sys/types.h>

namespace kiln::image {

// fork(2) with the interpreter's own handlers around it (os.register_at_fork among them). In the child, the
// calling thread is the only one, and Python's main thread.
pid_t fork_interpreter();

}  // namespace kiln::image
