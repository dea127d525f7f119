#include "daemon/image/python_aside.h"

#include "daemon/image/interpreter_state.h"

namespace kiln::image {
namespace {

bool is_true(PyObject* function) {
  const PythonRef answer{function != nullptr ? PyObject_CallObject(function, nullptr) : nullptr};
  return answer && PyObject_IsTrue(answer.get()) == 1;
}

}  // namespace

PythonAside::PythonAside() : gil_(PyGILState_Ensure()) {
  PyErr_Fetch(&type_, &value_, &traceback_);
  collects_ = is_true(interpreter_state().gc_is_enabled.get());
  if (collects_) const PythonRef done{PyObject_CallObject(interpreter_state().gc_disable.get(), nullptr)};
}

PythonAside::~PythonAside() {
  if (collects_) const PythonRef done{PyObject_CallObject(interpreter_state().gc_enable.get(), nullptr)};
  PyErr_Restore(type_, value_, traceback_);  // replaces what came meanwhile
  PyGILState_Release(gil_);
}

}  // namespace kiln::image
