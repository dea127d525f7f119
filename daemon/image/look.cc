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

PythonRef self_of(std::string_view function) {
  PythonRef frame = PythonRef::borrowed(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
  while (frame && frame.get() != Py_None &&
         !is_text(attribute(code_of(frame.get()).get(), "co_name").get(), function))
    frame = attribute(frame.get(), "f_back");
  const PythonRef locals = attribute(frame.get(), "f_locals");
  PythonRef self{locals ? PyMapping_GetItemString(locals.get(), "self") : nullptr};
  if (!self) PyErr_Clear();
  return self;
}

PythonRef own_attribute(PyObject* object, const char* name) {
  const PythonRef own = attribute(object, "__dict__");
  return PythonRef::borrowed(own && PyDict_Check(own.get()) != 0 ? PyDict_GetItemString(own.get(), name)
                                                                 : nullptr);
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
