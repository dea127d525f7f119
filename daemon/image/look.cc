#include "daemon/image/look.h"

#include <dlfcn.h>

namespace kiln::image {

PythonRef attribute(PyObject* object, const char* name) {
  PythonRef value{object != nullptr ? PyObject_GetAttrString(object, name) : nullptr};
  if (!value) PyErr_Clear();
  return value;
}

PythonRef code_of(PyObject* frame) {
  // Of 3.9 and later; the limited API of 3.8 has no such function.
  static const auto get =
      reinterpret_cast<PyObject* (*)(PyObject*)>(::dlsym(RTLD_DEFAULT, "PyFrame_GetCode"));
  return get != nullptr && frame != nullptr ? PythonRef{get(frame)} : attribute(frame, "f_code");
}

bool is_text(PyObject* object, std::string_view text) {
  return object != nullptr && PyUnicode_Check(object) != 0 &&
         PyUnicode_CompareWithASCIIString(object, std::string(text).c_str()) == 0;
}

std::string text_of(PyObject* object) {
  const PythonRef bytes{object != nullptr && PyUnicode_Check(object) != 0 ? PyUnicode_EncodeFSDefault(object)
                                                                          : nullptr};
  if (bytes) return PyBytes_AsString(bytes.get());
  PyErr_Clear();
  return {};
}

}  // namespace kiln::image
