#include "daemon/image/practice.h"

#include <Python.h>
#include <unistd.h>

#include "daemon/image/interpreter_state.h"
#include "daemon/image/python_ref.h"
#include "daemon/image/streams.h"

namespace kiln::image {
namespace {

// Goes the way of a program's first print, to nowhere. Nothing may stay buffered: it would come out of a run.
constexpr char kProgram[] =
    "import sys\n"
    "print('', flush=True)\n"
    "print('', file=sys.stderr, flush=True)\n";

}  // namespace

Result<void> practise() {
  TRY_VOID(make_standard_streams());
  const PythonRef globals{PyDict_New()};
  PyDict_SetItemString(globals.get(), "__builtins__", PyEval_GetBuiltins());
  const PythonRef code{Py_CompileString(kProgram, "<practice>", Py_file_input)};
  const PythonRef done{code ? PyEval_EvalCode(code.get(), globals.get(), globals.get()) : nullptr};
  if (!done) return Error{Reason::interpreter, take_python_error(), {}};
  return {};
}

Launch practice_launch() {
  Launch launch;
  launch.kind = TargetKind::command;
  launch.target = kProgram;
  launch.name = "python3";
  launch.command_line = {launch.name, "-c", launch.target};
  for (char** variable = environ; *variable != nullptr; ++variable)
    launch.environment.emplace_back(*variable);
  return launch;
}

}  // namespace kiln::image
