#include "daemon/image/recorders.h"

#include <Python.h>
#include <dlfcn.h>

#include <vector>

#include "daemon/image/interpreter_state.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

// Makes the type that tells NOTE of each call that reads: NOTE(name of the method, its arguments).
constexpr char kRecordingType[] = R"(
def recording(base, note):
    def method(name, original):
        def call(self, *arguments, **keywords):
            note(name, arguments)
            return original(self, *arguments, **keywords)
        return call
    left = ('__new__', '__init__', '__getattribute__', '__doc__', '__hash__', '__class_getitem__')
    methods = {name: method(name, original) for name, original in base.__dict__.items() if name not in left}
    # list + this asks it first, as a subclass that has this.
    if base is list: methods['__radd__'] = method('__radd__', lambda self, other: other + base(self))
    # A copy is a plain one.
    methods['__reduce_ex__'] = method('__reduce_ex__', lambda self, protocol: base(self).__reduce_ex__(protocol))
    return type(base)(base.__name__, (base,), dict(methods, __slots__=(), __module__='builtins'))
)";

struct Recorded {
  PythonRef object;
  PythonRef type;  // that tells
};
// Nobody holds anything once a program goes on (let_go): what we held would be finalized later than it
// should.
Recorded arguments;
Recorded command_line;  // sys.orig_argv
Recorded environment;
Recorders* owner = nullptr;

void let_go() {
  for (Recorded* recorded : {&arguments, &command_line, &environment}) *recorded = Recorded{};
}

// The layout is the same: subclasses without slots add nothing.
void set_type(const Recorded& recorded, PyTypeObject* type) {
  if (recorded.object) recorded.object.get()->ob_type = type;
}

PyObject* note_arguments(PyObject*, PyObject* call) {
  const char* method = nullptr;
  PyObject* given = nullptr;
  if (PyArg_ParseTuple(call, "sO", &method, &given) == 0) return nullptr;
  PyObject* index = PyTuple_Size(given) > 0 ? PyTuple_GetItem(given, 0) : nullptr;
  const bool first = index != nullptr && PyLong_Check(index) != 0 && PyLong_AsLong(index) == 0;
  PyErr_Clear();
  if (owner != nullptr) owner->note_arguments(method, first);
  Py_RETURN_NONE;
}

PyObject* note_variable(PyObject*, PyObject* call) {
  const char* method = nullptr;
  PyObject* given = nullptr;
  if (PyArg_ParseTuple(call, "sO", &method, &given) == 0) return nullptr;
  PyObject* name = PyTuple_Size(given) > 0 ? PyTuple_GetItem(given, 0) : nullptr;
  const bool is_name = name != nullptr && PyBytes_Check(name);
  if (owner != nullptr) owner->note_variable(method, is_name ? PyBytes_AsString(name) : nullptr);
  Py_RETURN_NONE;
}

PyMethodDef note_arguments_method = {"note", note_arguments, METH_VARARGS, nullptr};
PyMethodDef note_variable_method = {"note", note_variable, METH_VARARGS, nullptr};

// TYPE is none of what its base's __subclasses__() tells: the reference that this has is dead.
bool hide(PyObject* type) {
  using Clear = void (*)(PyObject*);
  static const auto clear = reinterpret_cast<Clear>(::dlsym(RTLD_DEFAULT, "_PyWeakref_ClearRef"));
  const PythonRef module{PyImport_ImportModule("_weakref")};
  const PythonRef references{module ? PyObject_CallMethod(module.get(), "getweakrefs", "O", type) : nullptr};
  if (clear == nullptr || !references) return false;
  for (Py_ssize_t i = 0; i < PyList_Size(references.get()); ++i) clear(PyList_GetItem(references.get(), i));
  return true;
}

PythonRef recording_type(PyObject* base, PyMethodDef* note) {
  const PythonRef globals{PyDict_New()};
  PyDict_SetItemString(globals.get(), "__builtins__", PyEval_GetBuiltins());
  const PythonRef code{Py_CompileString(kRecordingType, "<kiln>", Py_file_input)};
  const PythonRef done{code ? PyEval_EvalCode(code.get(), globals.get(), globals.get()) : nullptr};
  PyObject* make = done ? PyDict_GetItemString(globals.get(), "recording") : nullptr;
  const PythonRef function{PyCFunction_NewEx(note, nullptr, nullptr)};
  PythonRef type{make != nullptr ? PyObject_CallFunctionObjArgs(make, base, function.get(), nullptr)
                                 : nullptr};
  if (type && !hide(type.get())) return {};
  return type;
}

// Methods of dict that read no variable but the one they are given.
bool takes_name(const std::string& method) {
  return method == "__getitem__" || method == "get" || method == "__contains__" || method == "__setitem__" ||
         method == "__delitem__" || method == "pop" || method == "setdefault";
}

Result<void> failed() {
  return Error{Reason::image_failed, take_python_error(), {}};
}

PythonRef text_list(const std::vector<std::string>& texts) {
  PythonRef list{PyList_New(0)};
  for (const std::string& text : texts) {
    const PythonRef item{PyUnicode_DecodeFSDefaultAndSize(text.data(), static_cast<Py_ssize_t>(text.size()))};
    if (!list || !item || PyList_Append(list.get(), item.get()) != 0) return {};
  }
  return list;
}

}  // namespace

Result<void> Recorders::install(std::function<void()> on_arguments) {
  owner = this;
  on_arguments_ = std::move(on_arguments);
  arguments.object = PythonRef::borrowed(PySys_GetObject("argv"));
  command_line.object = PythonRef::borrowed(PySys_GetObject("orig_argv"));
  environment.object = PythonRef::borrowed(interpreter_state().environment.get());
  arguments.type = recording_type(reinterpret_cast<PyObject*>(&PyList_Type), &note_arguments_method);
  environment.type = recording_type(reinterpret_cast<PyObject*>(&PyDict_Type), &note_variable_method);
  if (!arguments.type || !environment.type) return failed();
  for (const Recorded* list : {&arguments, &command_line})
    set_type(*list, reinterpret_cast<PyTypeObject*>(arguments.type.get()));
  set_type(environment, reinterpret_cast<PyTypeObject*>(environment.type.get()));
  is_recording_ = true;
  return {};
}

void Recorders::remove_from_arguments() {
  for (const Recorded* list : {&arguments, &command_line}) set_type(*list, &PyList_Type);
}

void Recorders::remove() {
  is_recording_ = false;
  remove_from_arguments();
  set_type(environment, &PyDict_Type);
  arguments.type = PythonRef{};
  environment.type = PythonRef{};
}

void Recorders::note_arguments(const std::string& method, bool first_only) {
  const bool is_of_first = first_only && (method == "__getitem__" || method == "__setitem__");
  if (is_recording_ && !is_of_first) on_arguments_();
}

void Recorders::note_variable(const std::string& method, const char* name) {
  if (!is_recording_) return;
  if (name != nullptr && takes_name(method)) {
    variables_.insert(name);
  } else {
    has_read_environment_ = true;
  }
}

Result<void> renew_arguments(const Launch& launch) {
  if (arguments.object) {
    const PythonRef rest = text_list(launch.arguments);
    if (!rest || PyList_SetSlice(arguments.object.get(), 1, PY_SSIZE_T_MAX, rest.get()) != 0) return failed();
  }
  if (command_line.object) {
    const PythonRef whole = text_list(launch.command_line);
    if (!whole || PyList_SetSlice(command_line.object.get(), 0, PY_SSIZE_T_MAX, whole.get()) != 0)
      return failed();
  }
  let_go();
  return {};
}

}  // namespace kiln::image
