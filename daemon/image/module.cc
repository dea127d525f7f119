// The extension module that lives in an image. Its one function never returns; image.py runs it on a thread of its
// own, so that there is no Python frame below the programs that the image's children become.
#include <Python.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "common/image_channel.h"
#include "common/version.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/python_ref.h"
#include "daemon/image/self_test.h"
#include "daemon/image/server.h"
#include "daemon/image/takeover.h"

namespace kiln::image {
namespace {

std::string to_bytes(PyObject* path) {
  const PythonRef bytes{PyUnicode_EncodeFSDefault(path)};
  if (!bytes) {
    PyErr_Clear();
    return {};
  }
  return PyBytes_AsString(bytes.get());
}

// __main__ as it is before a program's first line: image.py leaves nothing behind.
void clear_main() {
  const InterpreterState& state = interpreter_state();
  PyObject* dict = state.main_dict;
  const PythonRef keys{PyDict_Keys(dict)};
  for (Py_ssize_t i = 0; i < PyList_Size(keys.get()); ++i) {
    PyObject* key = PyList_GetItem(keys.get(), i);
    const std::string name = to_bytes(key);
    const bool belongs = name == "__name__" || name == "__doc__" || name == "__package__" || name == "__loader__" ||
                         name == "__spec__" || name == "__annotations__" || name == "__builtins__";
    if (!belongs) PyDict_DelItem(dict, key);
  }
  PyDict_SetItemString(dict, "__doc__", Py_None);
  PyDict_SetItemString(dict, "__loader__", state.builtin_importer.get());
}

// Descriptors and threads of start-up code would be shared by every run.
Result<void> find_leftovers(PyObject* tasks, PyObject* descriptors) {
  if (PyList_Size(tasks) != 1) return Error{Reason::startup_code, "start-up code started threads", {}};
  constexpr Py_ssize_t kOwn = 5;  // 0 to 2, the channel, and the one by which they were listed
  if (PyList_Size(descriptors) != kOwn) return Error{Reason::startup_code, "start-up code left descriptors open", {}};
  return {};
}

Result<void> set_up() {
  TRY_VOID(read_interpreter_state());
  note_own_environment_changes();
  clear_main();
  TRY_VOID(self_test());
  ImageSignals().install();
  if (::chdir("/") != 0) return errno_error("cannot leave the working directory");
  interpreter_state().full_collections = count_full_collections();
  return {};
}

// start(channel, version, tag, magic, reads_environment, inputs, tasks, descriptors)
PyObject* start(PyObject*, PyObject* arguments) {
  int channel = -1;
  const char* version = nullptr;
  const char* tag = nullptr;
  unsigned long long magic = 0;
  int reads_environment = 0;
  PyObject* inputs = nullptr;
  PyObject* tasks = nullptr;
  PyObject* descriptors = nullptr;
  if (PyArg_ParseTuple(arguments, "issKiOOO", &channel, &version, &tag, &magic, &reads_environment, &inputs, &tasks,
                       &descriptors) == 0) {
    return nullptr;
  }
  ImageGreeting greeting{std::string(build_id()), "served", {}, version, tag, magic,
                         static_cast<std::uint64_t>(::getpid()), static_cast<std::uint64_t>(reads_environment), {}};
  for (Py_ssize_t i = 0; i < PyList_Size(inputs); ++i) greeting.inputs.push_back(to_bytes(PyList_GetItem(inputs, i)));
  auto usable = find_leftovers(tasks, descriptors);
  if (usable) usable = set_up();
  if (!usable) {
    greeting.reason = word(usable.error().reason);
    greeting.detail = usable.error().message;
  }
  ::fcntl(channel, F_SETFD, FD_CLOEXEC);
  const std::string message = encode_image_greeting(greeting);
  if (!usable || message.size() > kMaxChannelMessage) {
    (void)!::write(channel, message.data(), message.size());
    ::_exit(1);
  }
  serve(channel, message);
}

PyMethodDef functions[] = {{"start", start, METH_VARARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};
PyModuleDef_Slot slots[] = {{0, nullptr}};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_kiln_image", nullptr, 0, functions, slots, nullptr, nullptr, nullptr};

}  // namespace
}  // namespace kiln::image

// NOLINTNEXTLINE: the name that the import system looks for
extern "C" __attribute__((visibility("default"))) PyObject* PyInit__kiln_image() {
  return PyModuleDef_Init(&kiln::image::definition);
}
