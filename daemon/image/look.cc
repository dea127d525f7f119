#include "daemon/image/look.h"

namespace kiln::image {

PythonRef attribute(PyObject* object, const char* name) {
  PythonRef value{object != nullptr ? PyObject_GetAttrString(object, name) : nullptr};
  if (!value) PyErr_Clear();
  return value;
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
