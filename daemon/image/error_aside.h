// Sets a Python error aside.
#pragma once

#include <Python.h>

#include <utility>

namespace kiln::image {

// Puts it back at its end, unless it was forgotten.
class ErrorAside {
 public:
  ErrorAside() { PyErr_Fetch(&type_, &value_, &traceback_); }
  ~ErrorAside() { PyErr_Restore(type_, value_, traceback_); }  // replaces what came meanwhile
  ErrorAside(const ErrorAside&) = delete;
  ErrorAside& operator=(const ErrorAside&) = delete;

  void forget() {
    for (PyObject** part : {&type_, &value_, &traceback_}) Py_XDECREF(std::exchange(*part, nullptr));
  }

 private:
  PyObject* type_ = nullptr;
  PyObject* value_ = nullptr;
  PyObject* traceback_ = nullptr;
};

}  // namespace kiln::image
