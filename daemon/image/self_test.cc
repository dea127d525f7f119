#include "daemon/image/self_test.h"

#include <Python.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/image/fork.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

// Each line that fails is a promise that a child of this interpreter could not keep. What it imports no
// program has imported: its bytecode is not left behind.
constexpr char kProgram[] =
    "import sys\n"
    "sys.dont_write_bytecode = True\n"
    "import signal, threading\n"
    "try:\n"
    "    sys._getframe(1)\n"
    "except ValueError:\n"
    "    pass\n"
    "else:\n"
    "    raise SystemError('a frame below the program')\n"
    "assert threading.current_thread() is threading.main_thread()\n"
    "assert threading.active_count() == 1\n"
    "assert sys.gettrace() is None and sys.getprofile() is None\n"
    "signal.signal(signal.SIGUSR1, signal.SIG_DFL)\n"  // main thread of the main interpreter only
    "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n";

[[noreturn]] void run_in_child() {
  const PythonRef code{Py_CompileString(kProgram, "<self-test>", Py_file_input)};
  const PythonRef globals{PyDict_New()};
  // Up to 3.9 evaluation does not add them by itself where no frame has any.
  PyDict_SetItemString(globals.get(), "__builtins__", PyEval_GetBuiltins());
  const PythonRef result{code && globals ? PyEval_EvalCode(code.get(), globals.get(), globals.get())
                                         : nullptr};
  if (!result) PyErr_Print();
  ::_exit(result ? 0 : 1);
}

}  // namespace

Result<void> self_test() {
  const pid_t child = fork_interpreter();
  if (child < 0) return errno_error("cannot fork", Reason::self_test);
  if (child == 0) run_in_child();
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Error{Reason::self_test, "the self-test's program failed", {}};
  }
  return {};
}

}  // namespace kiln::image
