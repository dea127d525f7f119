#include "daemon/image/audit.h"

#include <Python.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <string_view>

#include "common/name_pattern.h"
#include "common/path_text.h"
#include "daemon/image/fence.h"
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

// OBJECT, if it is a path.
std::string path_of(PyObject* object) {
  if (PyBytes_Check(object)) return PyBytes_AsString(object);
  if (!PyUnicode_Check(object)) return {};
  const PythonRef bytes{PyUnicode_EncodeFSDefault(object)};
  if (bytes) return PyBytes_AsString(bytes.get());
  PyErr_Clear();
  return {};
}

// The ARGUMENT-th argument of an event, if it is a path.
std::string path_argument(PyObject* arguments, Py_ssize_t argument) {
  return PyTuple_Size(arguments) > argument ? path_of(PyTuple_GetItem(arguments, argument)) : std::string();
}

// Below sys.pycache_prefix everything is bytecode, or directories for it; but the prefix may be any
// directory, so that names have to tell. importlib creates the way to it as well, as far as that is missing.
bool is_bytecode_below_prefix(std::string_view event, std::string_view path) {
  PyObject* set = PySys_GetObject("pycache_prefix");  // borrowed
  std::string prefix = set != nullptr ? path_of(set) : std::string();
  while (prefix.ends_with('/')) prefix.pop_back();
  if (prefix.empty() || path.empty()) return false;
  if (event == "os.mkdir") return path == prefix || is_below(path, prefix) || is_below(prefix, path);
  // NAME.TAG.pyc, or with a number behind it while it is written (importlib's _write_atomic)
  return is_below(path, prefix) && path.substr(path.rfind('/')).find(".pyc") != std::string_view::npos;
}

// The interpreter's own, which it writes and reads at any start.
bool is_bytecode(std::string_view event, std::string_view path) {
  return path.find("__pycache__") != std::string_view::npos || is_bytecode_below_prefix(event, path);
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

// open() of a descriptor: nothing that its own opening, of whatever kind, has not told yet. importlib writes
// bytecode by one, where its name is known no longer.
bool is_of_descriptor(std::string_view event, PyObject* arguments) {
  return event == "open" && PyTuple_Size(arguments) > 0 && PyLong_Check(PyTuple_GetItem(arguments, 0));
}

bool is_of_this_process(std::string_view path) {
  return path.starts_with("/proc/self/") || path.starts_with("/proc/thread-self/") ||
         path.starts_with("/proc/" + std::to_string(::getpid()) + "/");
}

// An image whose start depends on the working directory, by PYTHONPATH say, is in it; all others are in /.
std::string working_directory() {
  char directory[PATH_MAX];
  return ::getcwd(directory, sizeof directory) != nullptr ? directory : "/";
}

void watch(std::string_view event, PyObject* arguments) {
  if (is_of_descriptor(event, arguments)) return;
  const std::string path = path_argument(arguments, 0);
  // Or image.py, looking for leftovers.
  if (is_bytecode(event, path) || path == "/proc/self/task" || path == "/proc/self/fd") return;
  if (event == "open" && is_for_writing(arguments)) return problem("start-up code writes " + path);
  if (event == "open" || event == "os.listdir" || event == "os.scandir") {
    if (is_of_this_process(path)) return problem("start-up code looks at " + path);
    if (path.empty()) return;
    const std::string directory = path.starts_with('/') ? "" : working_directory();
    if (directory == "/") return problem("start-up code looks into the working directory");
    watched->paths.push_back(directory.empty() ? path : directory + "/" + path);
    return;
  }
  if (matches_any(event, kEffects)) problem("start-up code does " + std::string(event));
}

int hook(const char* event, PyObject* arguments, void*) {
  if (std::string_view(event) == "sys.addaudithook") {
    stop_at_fence("adds an audit hook");  // which would hear of what Kiln does at a stop
    interpreter_state().audited = true;
  }
  // Whose thread states no step into the interpreter finds its way through (PyGILState_Ensure).
  // Among all objects some are Kiln's, and the arguments are not, while it is seen who looks at them.
  if (std::string_view(event) == "gc.get_objects" || std::string_view(event) == "gc.get_referrers") {
    if (!is_fence_open()) stop_at_fence("looks at all objects");
  }
  if (std::string_view(event) == "cpython.PyInterpreterState_New") stop_at_fence("creates a subinterpreter");
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
