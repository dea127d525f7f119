#include "daemon/image/python_aside.h"

#include "daemon/image/interpreter_state.h"

namespace kiln::image {
namespace {

bool is_true(PyObject* function) {
  const PythonRef answer{function != nullptr ? PyObject_CallObject(function, nullptr) : nullptr};
  return answer && PyObject_IsTrue(answer.get()) == 1;
}

}  // namespace

PythonAside::PythonAside() {
  collects_ = is_true(interpreter_state().gc_is_enabled.get());
  if (collects_) const PythonRef done{PyObject_CallObject(interpreter_state().gc_disable.get(), nullptr)};
}

PythonAside::~PythonAside() {
  if (collects_) const PythonRef done{PyObject_CallObject(interpreter_state().gc_enable.get(), nullptr)};
}

bool is_listened_to() {
  const InterpreterState& state = interpreter_state();
  for (const PythonRef* get : {&state.get_profile, &state.get_trace}) {
    const PythonRef function{PyObject_CallObject(get->get(), nullptr)};
    if (function.get() != Py_None) return true;
  }
  constexpr int kTools = 6;  // PEP 669
  for (int id = 0; state.get_tool && id < kTools; ++id) {
    const PythonRef tool{PyObject_CallFunction(state.get_tool.get(), "i", id)};
    if (tool.get() != Py_None) return true;
  }
  return false;
}

}  // namespace kiln::image
