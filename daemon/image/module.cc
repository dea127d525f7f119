// The extension module that lives in an image. Its one function never returns; image.py runs it on a thread of its
// own, so that there is no Python frame below the programs that the image's children become.
#include <Python.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "common/image_channel.h"
#include "common/unique_fd.h"
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

// Everything the interpreter said while starting has been looked at; from now on nobody listens.
Result<void> silence() {
  const UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  for (int fd = 0; fd < 3; ++fd) {
    if (::dup2(null.get(), fd) < 0) return errno_error("cannot open /dev/null");
  }
  return {};
}

Result<void> set_up() {
  TRY_VOID(read_interpreter_state());
  note_own_environment_changes();
  clear_main();
  TRY_VOID(self_test());
  ImageSignals::install();
  TRY_VOID(silence());
  if (::chdir("/") != 0) return errno_error("cannot leave the working directory");
  interpreter_state().full_collections = count_full_collections();
  return {};
}

std::vector<std::string> to_strings(PyObject* list) {
  std::vector<std::string> strings;
  for (Py_ssize_t i = 0; i < PyList_Size(list); ++i) {
    PyObject* item = PyList_GetItem(list, i);
    strings.push_back(PyBytes_Check(item) ? PyBytes_AsString(item) : to_bytes(item));
  }
  return strings;
}

// start(channel, version, tag, magic, whole_environment, reads, inputs): never returns.
PyObject* start(PyObject*, PyObject* arguments) {
  int channel = -1;
  const char* version = nullptr;
  const char* tag = nullptr;
  unsigned long long magic = 0;
  int whole_environment = 0;
  PyObject* reads = nullptr;
  PyObject* inputs = nullptr;
  if (PyArg_ParseTuple(arguments, "issKiOO", &channel, &version, &tag, &magic, &whole_environment, &reads, &inputs) ==
      0) {
    return nullptr;
  }
  ImageGreeting greeting{std::string(build_id()), "served", {}, version, tag, magic,
                         static_cast<std::uint64_t>(::getpid()), static_cast<std::uint64_t>(whole_environment),
                         to_strings(reads), to_strings(inputs)};
  const auto usable = set_up();
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

// The interpreter was started with -S; the runs that it will serve were not.
PyObject* clear_no_site_flag(PyObject*, PyObject*) {
  constexpr Py_ssize_t kNoSite = 6;  // the position of no_site in sys.flags of every served version
  PyStructSequence_SetItem(PySys_GetObject("flags"), kNoSite, PyLong_FromLong(0));
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {{"start", start, METH_VARARGS, nullptr},
                           {"clear_no_site_flag", clear_no_site_flag, METH_NOARGS, nullptr},
                           {nullptr, nullptr, 0, nullptr}};
PyModuleDef_Slot slots[] = {{0, nullptr}};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_kiln_image", nullptr, 0, functions, slots, nullptr, nullptr, nullptr};

}  // namespace
}  // namespace kiln::image

// NOLINTNEXTLINE: the name that the import system looks for
extern "C" __attribute__((visibility("default"))) PyObject* PyInit__kiln_image() {
  return PyModuleDef_Init(&kiln::image::definition);
}
