#include "daemon/image/python_stack.h"

#include "daemon/image/look.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
std::vector<PythonFrame> python_stack(std::size_t limit) {
  std::vector<PythonFrame> stack;
  PythonRef frame = PythonRef::borrowed(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
  while (frame && frame.get() != Py_None && stack.size() < limit) {
    const PythonRef code = code_of(frame.get());
    const PythonRef globals = attribute(frame.get(), "f_globals");
    const PythonRef line = attribute(frame.get(), "f_lineno");
    PyObject* module =
        globals && PyDict_Check(globals.get()) ? PyDict_GetItemString(globals.get(), "__name__") : nullptr;
    stack.push_back({text_of(module), text_of(attribute(code.get(), "co_name").get()),
                     text_of(attribute(code.get(), "co_filename").get()),
                     line && line.get() != Py_None ? PyLong_AsLong(line.get()) : 0, globals.get()});
    frame = attribute(frame.get(), "f_back");
  }
  PyErr_Clear();
  return stack;
}

}  // namespace kiln::image
