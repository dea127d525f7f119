#include "daemon/image/leave.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include "daemon/image/bytecode_hook.h"
#include "daemon/image/finalizers.h"
#include "daemon/image/heir.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

constexpr int kFlushFailed = 120;  // as Py_Exit has it

// A function of a module, if the program loaded the module. Errors are reported as at a real exit.
void call_if_loaded(const char* module, const char* function) {
  PyObject* loaded = PyDict_GetItemString(PyImport_GetModuleDict(), module);
  if (loaded == nullptr) return;
  const PythonRef kept = PythonRef::borrowed(loaded);
  const PythonRef result{PyObject_CallMethod(loaded, function, nullptr)};
  if (!result) PyErr_WriteUnraisable(loaded);
}

// True if nothing is left unwritten.
bool flush(const char* name) {
  PyObject* stream = PySys_GetObject(name);
  if (stream == nullptr || stream == Py_None) return true;
  const PythonRef closed{PyObject_GetAttrString(stream, "closed")};
  if (closed && PyObject_IsTrue(closed.get()) == 1) return true;
  PyErr_Clear();
  const PythonRef done{PyObject_CallMethod(stream, "flush", nullptr)};
  PyErr_Clear();
  return static_cast<bool>(done);
}

// Py_FinalizeEx would call it once more, which trace functions see, and what atexit's have started would be
// waited for.
void forget_threads() {
  PyObject* threading = PyDict_GetItemString(PyImport_GetModuleDict(), "threading");
  if (threading == nullptr) return;
  PyObject_SetAttrString(threading, "_shutdown", interpreter_state().get_trace.get());  // which does nothing
  PyErr_Clear();
}

struct Finished {
  bool all_written = true;
  bool torn_down = false;
};

// As _PySignal_Fini has it: what has a handler in Python has none any more when C's exit handlers run.
void let_go_of_signals() {
  const PythonRef module{PyImport_ImportModule("_signal")};
  for (int signal = 1; module && signal < NSIG; ++signal) {
    const PyOS_sighandler_t handler = PyOS_getsig(signal);
    if (handler == SIG_DFL || handler == SIG_IGN || handler == SIG_ERR) continue;
    const PythonRef known{PyObject_CallMethod(module.get(), "getsignal", "i", signal)};
    if (known && PyCallable_Check(known.get()) != 0) PyOS_setsig(signal, SIG_DFL);
  }
  PyErr_Clear();
}

Finished tear_down() {
  forget_threads();
  release_bytecode_hook();
  release_interpreter_state();
  return {Py_FinalizeEx() == 0, true};
}

Finished finish() {
  call_if_loaded("threading", "_shutdown");
  // Its errors are printed by itself; what it raises in the end is dropped at a real exit.
  PyObject* atexit = PyDict_GetItemString(PyImport_GetModuleDict(), "atexit");
  if (atexit != nullptr) {
    const PythonRef kept = PythonRef::borrowed(atexit);
    const PythonRef result{PyObject_CallMethod(atexit, "_run_exitfuncs", nullptr)};
    PyErr_Clear();
  }
  finish_bytecode();
  if (finalization_matters()) return tear_down();
  // A stream that cannot be flushed is Py_FinalizeEx's to report; its data is still there. Those that Python
  // made may hold data, too, where the program has put others in their places: they are the last to go.
  for (const char* stream : {"stdout", "stderr", "__stdout__", "__stderr__"}) {
    if (!flush(stream)) return tear_down();
  }
  let_go_of_signals();
  return {};
}

// exit_sigint of Modules/main.c.
void die_of_interrupt() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGINT, &action, nullptr);
  ::kill(::getpid(), SIGINT);
}

}  // namespace

void leave(const Program::Outcome& outcome, const RunProcess& run) {
  const Finished finished = finish();
  int exit_code = finished.all_written ? outcome.exit_code : kFlushFailed;
  if (outcome.interrupted) {
    die_of_interrupt();
    exit_code = SIGINT + 128;
  }
  // A fork of the program comes by here, too; it does not have the page.
  if (::getpid() == run.pid) {
    *run.page = StatusPage{1, exit_code & 0xff};
    if (!finished.torn_down) leave_memory_to_heir(run.image, run.heir);
  }
  std::exit(exit_code);
}

}  // namespace kiln::image
