#include "daemon/image/fork.h"

#include <Python.h>
#include <unistd.h>

namespace kiln::image {

pid_t fork_interpreter() {
  PyOS_BeforeFork();
  const pid_t pid = ::fork();
  if (pid == 0) {
    PyOS_AfterFork_Child();
  } else {
    PyOS_AfterFork_Parent();
  }
  return pid;
}

}  // namespace kiln::image
