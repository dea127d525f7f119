#include "daemon/image/frame_end.h"

#include <Python.h>
#include <dlfcn.h>

#include <string>
#include <utility>

#include "daemon/image/look.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

// cpython/ceval.h, pystate.h: not in the limited API, the same in 3.8 to 3.13.
using ProfileFunction = int (*)(PyObject*, PyFrameObject*, int, PyObject*);
using SetProfile = void (*)(ProfileFunction, PyObject*);
constexpr int kReturn = 3;  // PyTrace_RETURN; with an exception, too

std::function<void()> then;

SetProfile set_profile() {
  static const auto function = reinterpret_cast<SetProfile>(::dlsym(RTLD_DEFAULT, "PyEval_SetProfile"));
  return function;
}

int on_event(PyObject* awaited, PyFrameObject* frame, int what, PyObject*) {
  if (what != kReturn || reinterpret_cast<PyObject*>(frame) != awaited) return 0;
  set_profile()(nullptr, nullptr);
  std::exchange(then, {})();
  return 0;
}

bool is_profiled() {
  const PythonRef function{PyObject_CallMethod(PyImport_AddModule("sys"), "getprofile", nullptr)};
  PyErr_Clear();
  return !function || function.get() != Py_None;
}

bool is_of(PyObject* frame, std::string_view module, std::string_view function) {
  const PythonRef code = code_of(frame);
  const PythonRef globals = attribute(frame, "f_globals");
  PyObject* name = globals ? PyDict_GetItemString(globals.get(), "__name__") : nullptr;
  return is_text(name, module) && is_text(attribute(code.get(), "co_name").get(), function);
}

}  // namespace

bool at_end_of(std::string_view module, std::string_view function, std::function<void()> callback) {
  if (set_profile() == nullptr || is_profiled()) return false;
  PythonRef frame = PythonRef::borrowed(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
  while (frame && frame.get() != Py_None && !is_of(frame.get(), module, function))
    frame = attribute(frame.get(), "f_back");
  if (!frame || frame.get() == Py_None) return false;
  then = std::move(callback);
  set_profile()(on_event, frame.get());
  return true;
}

}  // namespace kiln::image
