#include "daemon/image/streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "daemon/image/interpreter_state.h"
#include "daemon/image/look.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

struct Stream {
  int fd;
  const char* name;   // sys attribute
  const char* label;  // <stdin>
  bool writes;
};

constexpr Stream kStreams[] = {
    {STDIN_FILENO, "stdin", "<stdin>", false},
    {STDOUT_FILENO, "stdout", "<stdout>", true},
    {STDERR_FILENO, "stderr", "<stderr>", true},
};

bool is_true(PyObject* object, const char* method) {
  const PythonRef answer{PyObject_CallMethod(object, method, nullptr)};
  return answer && PyObject_IsTrue(answer.get()) == 1;
}

PythonRef make_stream(const Stream& stream) {
  const InterpreterState& state = interpreter_state();
  if (::fcntl(stream.fd, F_GETFD) < 0) return PythonRef::borrowed(Py_None);
  // Standard input is buffered even with -u: TextIOWrapper needs read1().
  const int buffering = state.unbuffered && stream.writes ? 0 : -1;
  const PythonRef buffer{PyObject_CallFunction(state.open.get(), "isiOOOO", stream.fd,
                                               stream.writes ? "wb" : "rb", buffering, Py_None, Py_None,
                                               Py_None, Py_False)};
  if (!buffer) return {};
  const PythonRef raw = buffering != 0 ? PythonRef{PyObject_GetAttrString(buffer.get(), "raw")}
                                       : PythonRef::borrowed(buffer.get());
  const PythonRef label{PyUnicode_FromString(stream.label)};
  if (!raw || PyObject_SetAttrString(raw.get(), "name", label.get()) != 0) return {};
  const bool is_stderr = stream.fd == STDERR_FILENO;
  const bool line_buffering =
      !state.unbuffered && (is_true(raw.get(), "isatty") || (is_stderr && state.minor >= 9));
  if (PyErr_Occurred() != nullptr) return {};
  const PythonRef stderr_errors{PyUnicode_FromString("backslashreplace")};
  PythonRef text{
      PyObject_CallFunction(state.text_io_wrapper.get(), "OOOsOO", buffer.get(), state.stream_encoding.get(),
                            is_stderr ? stderr_errors.get() : state.stream_errors.get(), "\n",
                            line_buffering ? Py_True : Py_False, state.unbuffered ? Py_True : Py_False)};
  const PythonRef mode{PyUnicode_FromString(stream.writes ? "w" : "r")};
  if (!text || PyObject_SetAttrString(text.get(), "mode", mode.get()) != 0) return {};
  return text;
}

// Where start-up code imported threading, its main thread keeps the stream for what it cannot tell any more
// at the end. image.py relies on this.
void renew_stream_of_main_thread(PyObject* former) {
  PyObject* threading = PyDict_GetItemString(PyImport_GetModuleDict(), "threading");
  const PythonRef thread = threading != nullptr ? attribute(threading, "_main_thread") : PythonRef{};
  if (!thread || attribute(thread.get(), "_stderr").get() != former) return;
  PyObject_SetAttrString(thread.get(), "_stderr", PySys_GetObject("stderr"));
  PyErr_Clear();
}

}  // namespace

Result<void> make_standard_streams() {
  const PythonRef former_stderr = PythonRef::borrowed(PySys_GetObject("stderr"));
  for (const Stream& stream : kStreams) {
    const PythonRef made = make_stream(stream);
    const std::string twin = std::string("__") + stream.name + "__";
    if (!made || PySys_SetObject(twin.c_str(), made.get()) != 0 ||
        PySys_SetObject(stream.name, made.get()) != 0) {
      return Error{Reason::streams, take_python_error(), {}};
    }
  }
  renew_stream_of_main_thread(former_stderr.get());
  return {};
}

void renew_positions() {
  for (const Stream& stream : kStreams) {
    if (::lseek(stream.fd, 0, SEEK_CUR) <= 0) continue;
    const std::string twin = std::string("__") + stream.name + "__";
    const PythonRef buffer = attribute(PySys_GetObject(twin.c_str()), "buffer");
    const PythonRef asked{buffer ? PyObject_CallMethod(buffer.get(), "tell", nullptr) : nullptr};
    PyErr_Clear();
  }
}

}  // namespace kiln::image
