#include "daemon/image/audit.h"

#include <Python.h>
#include <dlfcn.h>
#include <fcntl.h>

#include <array>
#include <string_view>

#include "common/name_pattern.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

using Hook = int (*)(const char*, PyObject*, void*);
using AddHook = int (*)(Hook, void*);

StartUpEvents* watched = nullptr;

// Effects outside of the process, or things that belong to one process only.
constexpr std::array<std::string_view, 16> kEffects{
    "subprocess.*", "os.system",   "os.fork*",  "os.posix_spawn", "os.exec",  "os.spawn",
    "socket.*",     "os.remove",   "os.rename", "os.mkdir",       "os.rmdir", "os.link",
    "os.symlink",   "os.truncate", "os.kill",   "os.chdir"};

// The ARGUMENT-th argument of an event, if it is a path.
std::string path_argument(PyObject* arguments, Py_ssize_t argument) {
  if (PyTuple_Size(arguments) <= argument) return {};
  PyObject* object = PyTuple_GetItem(arguments, argument);
  if (PyBytes_Check(object)) return PyBytes_AsString(object);
  if (!PyUnicode_Check(object)) return {};
  const PythonRef bytes{PyUnicode_EncodeFSDefault(object)};
  if (bytes) return PyBytes_AsString(bytes.get());
  PyErr_Clear();
  return {};
}

bool is_for_writing(PyObject* arguments) {
  constexpr Py_ssize_t kFlags = 2;  // open(path, mode, flags)
  if (PyTuple_Size(arguments) <= kFlags) return false;
  PyObject* flags = PyTuple_GetItem(arguments, kFlags);
  return PyLong_Check(flags) && (PyLong_AsLong(flags) & O_ACCMODE) != O_RDONLY;
}

void problem(const std::string& text) {
  if (watched->problem.empty()) watched->problem = text;
}

void watch(std::string_view event, PyObject* arguments) {
  const std::string path = path_argument(arguments, 0);
  // The interpreter's own bytecode, and image.py looking for leftovers.
  if (path.find("__pycache__") != std::string::npos || path.starts_with("/proc/self/")) return;
  if (event == "open" && is_for_writing(arguments)) return problem("start-up code writes " + path);
  if (event == "open" || event == "os.listdir" || event == "os.scandir") {
    if (path.starts_with('/')) watched->paths.push_back(path);
    return;
  }
  if (matches_any(event, kEffects)) problem("start-up code does " + std::string(event));
}

int hook(const char* event, PyObject* arguments, void*) {
  if (std::string_view(event) == "sys.addaudithook") interpreter_state().audited = true;
  if (watched != nullptr) watch(event, arguments);
  return 0;
}

}  // namespace

Result<void> start_watching() {
  const auto add = reinterpret_cast<AddHook>(::dlsym(RTLD_DEFAULT, "PySys_AddAuditHook"));
  if (add == nullptr || add(hook, nullptr) != 0) return Error{Reason::interpreter, "no audit hooks", {}};
  watched = new StartUpEvents;
  return {};
}

StartUpEvents stop_watching() {
  StartUpEvents events = std::move(*watched);
  delete watched;
  watched = nullptr;
  return events;
}

}  // namespace kiln::image
