#include "daemon/image/recorders.h"

#include <Python.h>
#include <dlfcn.h>

#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

#include "daemon/image/descriptor_layout.h"
#include "daemon/image/fence.h"
#include "daemon/image/forget_class.h"
#include "daemon/image/guarded_list.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

// Nobody holds anything once a program goes on (let_go): what we held would be finalized later than it
// should.
PythonRef arguments;
PythonRef command_line;  // sys.orig_argv; empty before 3.10
PythonRef environment;
PythonRef own;                   // what it holds is each process's own
PythonRef environment_type;      // that tells
Py_ssize_t type_references = 0;  // to it, when nobody had seen it
PyObject* holder = nullptr;      // of both lists: the dictionary of sys
bool are_guarded = false;
Recorders* owner = nullptr;

void let_go() {
  for (PythonRef* held : {&arguments, &command_line, &environment, &own}) *held = PythonRef{};
}

// --- The type of os.environ's dictionary, and of one that is the process's own

void note(PyObject* self, const char* method, PyObject* name) {
  if (self == own.get()) return stop_at_fence("looks at the configuration of its process");
  const bool is_name = name != nullptr && PyBytes_Check(name);
  if (owner != nullptr) owner->note_variable(method, is_name ? PyBytes_AsString(name) : nullptr);
}

// What dict's own methods see while it lives, is what ours have told.
bool is_passed_on = false;
struct PassingOn {
  PassingOn() { is_passed_on = true; }
  ~PassingOn() { is_passed_on = false; }
  PassingOn(const PassingOn&) = delete;
  PassingOn& operator=(const PassingOn&) = delete;
};

// As dict does it, and in its name: no frame of anybody's shows in a traceback.
PyObject* as_dict(const char* method, PyObject* self, PyObject* given, PyObject* keywords = nullptr) {
  const PassingOn passing_on;
  const PythonRef function{PyObject_GetAttrString(reinterpret_cast<PyObject*>(&PyDict_Type), method)};
  const PythonRef first{PyTuple_Pack(1, self)};
  const PythonRef all{first && given != nullptr ? PySequence_Concat(first.get(), given) : nullptr};
  if (!function || !first || (given != nullptr && !all)) return nullptr;
  return PyObject_Call(function.get(), all ? all.get() : first.get(), keywords);
}

PyObject* as_dict_of(const char* method, PyObject* self, PyObject* argument) {
  const PythonRef given{PyTuple_Pack(1, argument)};
  return given ? as_dict(method, self, given.get()) : nullptr;
}

constexpr auto kMethods =
    std::to_array<const char*>({"get", "pop", "setdefault", "popitem", "keys", "values", "items", "update",
                                "copy", "clear", "__reversed__", "__sizeof__"});

template <std::size_t Index>
PyObject* method(PyObject* self, PyObject* given, PyObject* keywords) {
  const char* const name = kMethods[Index];
  note(self, name, PyTuple_Size(given) > 0 ? PyTuple_GetItem(given, 0) : nullptr);
  return as_dict(name, self, given, keywords);
}

// What asks for it goes another way than with a dict, and would not find back.
PyObject* reduce(PyObject*, PyObject*) {
  const OpenFence open;
  ::_exit(1);
}

template <std::size_t... Index>
std::array<PyMethodDef, sizeof...(Index) + 2> methods(std::index_sequence<Index...>) {
  return {PyMethodDef{kMethods[Index], reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(&method<Index>)),
                      METH_VARARGS | METH_KEYWORDS, nullptr}...,
          PyMethodDef{"__reduce_ex__", reduce, METH_VARARGS, nullptr}, PyMethodDef{}};
}

PyObject* get_item(PyObject* self, PyObject* name) {
  note(self, "__getitem__", name);
  return as_dict_of("__getitem__", self, name);
}

int set_item(PyObject* self, PyObject* name, PyObject* value) {
  note(self, value != nullptr ? "__setitem__" : "__delitem__", name);
  const PythonRef given{value != nullptr ? PyTuple_Pack(2, name, value) : PyTuple_Pack(1, name)};
  const PythonRef done{given ? as_dict(value != nullptr ? "__setitem__" : "__delitem__", self, given.get())
                             : nullptr};
  return done ? 0 : -1;
}

int contains(PyObject* self, PyObject* name) {
  note(self, "__contains__", name);
  return PyDict_Contains(self, name);
}

Py_ssize_t length(PyObject* self) {
  note(self, "__len__", nullptr);
  return PyDict_Size(self);
}

PyObject* iterate(PyObject* self) {
  note(self, "__iter__", nullptr);
  return as_dict("__iter__", self, nullptr);
}

PyObject* represent(PyObject* self) {
  note(self, "__repr__", nullptr);
  return as_dict("__repr__", self, nullptr);
}

PyObject* compare(PyObject* self, PyObject* other, int how) {
  note(self, "__eq__", nullptr);
  constexpr auto kNames =
      std::to_array<const char*>({"__lt__", "__le__", "__eq__", "__ne__", "__gt__", "__ge__"});
  return as_dict_of(kNames[static_cast<std::size_t>(how)], self, other);
}

// Either may be ours.
PyObject* unite(PyObject* left, PyObject* right) {
  note(left == own.get() ? left : right, "__or__", nullptr);
  const bool both = PyDict_Check(left) != 0 && PyDict_Check(right) != 0;
  if (!both) return PythonRef::borrowed(Py_NotImplemented).release();
  PythonRef united{PyDict_Copy(left)};
  return united && PyDict_Update(united.get(), right) == 0 ? united.release() : nullptr;
}

PyObject* unite_in_place(PyObject* self, PyObject* other) {
  note(self, "__ior__", nullptr);
  return as_dict_of("__ior__", self, other);
}

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

PythonRef make_environment_type() {
  static auto table = methods(std::make_index_sequence<kMethods.size()>());
  const auto slot = [](int id, auto* function) { return PyType_Slot{id, reinterpret_cast<void*>(function)}; };
  std::vector<PyType_Slot> slots{{Py_tp_methods, table.data()},       slot(Py_mp_subscript, get_item),
                                 slot(Py_mp_ass_subscript, set_item), slot(Py_sq_contains, contains),
                                 slot(Py_mp_length, length),          slot(Py_tp_iter, iterate),
                                 slot(Py_tp_repr, represent),         slot(Py_tp_richcompare, compare)};
  if (interpreter_state().minor >= 9) {
    slots.push_back(slot(Py_nb_or, unite));
    slots.push_back(slot(Py_nb_inplace_or, unite_in_place));
  }
  slots.push_back({0, nullptr});
  PyType_Spec spec{"builtins.dict", 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots.data()};
  const PythonRef bases{PyTuple_Pack(1, &PyDict_Type)};
  PythonRef type{bases ? PyType_FromSpecWithBases(&spec, bases.get()) : nullptr};
  // As type's repr() has it, which knows built-in types by a name without a module.
  const PythonRef name{PyUnicode_FromString("dict")};
  if (!type || PyObject_SetAttrString(type.get(), "__name__", name.get()) != 0 || !hide(type.get()))
    return {};
  return type;
}

// --- dict's own methods, for dict.get(os.environ._data, name)

constexpr auto kDictMethods =
    std::to_array<const char*>({"get", "pop", "setdefault", "popitem", "keys", "values", "items", "update",
                                "copy", "clear", "__contains__", "__getitem__", "__sizeof__"});
std::array<NativeMethod, kDictMethods.size()> dict_methods{};  // as they are

template <std::size_t Index>
void* dict_method(void* self, void* b, void* c, void* d, void* e, void* f) {
  auto* dict = static_cast<PyObject*>(self);
  if ((self == environment.get() || self == own.get()) && !is_passed_on) note(dict, "__iter__", nullptr);
  return dict_methods[Index](self, b, c, d, e, f);
}

PyMethodDef* definition_of(const char* dict_method) {
  const PythonRef descriptor{PyObject_GetAttrString(reinterpret_cast<PyObject*>(&PyDict_Type), dict_method)};
  if (!descriptor) PyErr_Clear();
  return descriptor ? reinterpret_cast<MethodDescriptor*>(descriptor.get())->method : nullptr;
}

template <std::size_t Index>
void watch_dict_method(bool on) {
  PyMethodDef* definition = definition_of(kDictMethods[Index]);
  if (definition == nullptr) return;
  const auto now = reinterpret_cast<NativeMethod>(reinterpret_cast<void*>(definition->ml_meth));
  if (on) dict_methods[Index] = now;
  const NativeMethod next = on ? dict_method<Index> : dict_methods[Index];
  definition->ml_meth = reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(next));
}

template <std::size_t... Index>
void watch_dict(bool on, std::index_sequence<Index...>) {
  (watch_dict_method<Index>(on), ...);
}

void watch_dict(bool on) {
  watch_dict(on, std::make_index_sequence<kDictMethods.size()>());
}

// The layout is the same: a subclass without slots adds nothing.
void set_type(const PythonRef& object, PyTypeObject* type) {
  if (object) object.get()->ob_type = type;
}

// Methods of dict that read no variable but the one they are given.
bool takes_name(const std::string& method) {
  return method == "__getitem__" || method == "get" || method == "__contains__" || method == "__setitem__" ||
         method == "__delitem__" || method == "pop" || method == "setdefault";
}

Error failed() {
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

// The list NAME of sys, as one that can be guarded.
Result<PythonRef> replace_list(const char* name) {
  PyObject* list = PySys_GetObject(name);
  if (list == nullptr) return PythonRef{};
  PythonRef guardable = make_guardable(list);
  if (!guardable || PySys_SetObject(name, guardable.get()) != 0) return failed();
  return guardable;
}

Result<void> Recorders::install() {
  owner = this;
  arguments = TRY(replace_list("argv"));
  command_line = TRY(replace_list("orig_argv"));
  environment = PythonRef::borrowed(interpreter_state().environment.get());
  environment_type = make_environment_type();
  if (!arguments || !environment_type) return failed();
  type_references = Py_REFCNT(environment_type.get());
  set_type(environment, reinterpret_cast<PyTypeObject*>(environment_type.get()));
  watch_dict(true);
  holder = PyModule_GetDict(PyImport_AddModule("sys"));
  are_guarded = true;
  guard_arguments(true);
  is_recording_ = true;
  return {};
}

bool Recorders::tell_of(PyObject* dict) {
  if (own || dict == nullptr || Py_TYPE(dict) != &PyDict_Type) return false;
  own = PythonRef::borrowed(dict);
  set_type(own, reinterpret_cast<PyTypeObject*>(environment_type.get()));
  return true;
}

void Recorders::remove() {
  is_recording_ = false;
  free_arguments();
  watch_dict(false);
  set_type(environment, &PyDict_Type);
  set_type(own, &PyDict_Type);
  if (Py_REFCNT(environment_type.get()) == type_references) break_cycles(environment_type.get());
  environment_type = PythonRef{};
}

ArgumentsFault arguments_fault(const void* address) {
  const auto lies_on = [&](const PythonRef& list) { return list && lies_on_page_of(list.get(), address); };
  if (!are_guarded || (!lies_on(arguments) && !lies_on(command_line))) return ArgumentsFault::none;
  return is_being_collected(holder) ? ArgumentsFault::collector : ArgumentsFault::look;
}

void guard_arguments(bool guarded) {
  for (const PythonRef* list : {&arguments, &command_line}) {
    if (*list) (guarded ? guard : unguard)(list->get());
  }
}

void free_arguments() {
  if (!std::exchange(are_guarded, false)) return;
  guard_arguments(false);
  for (const PythonRef* list : {&arguments, &command_line}) {
    if (*list) track(list->get());
  }
}

void keep_arguments() {
  arguments = PythonRef{};
  command_line = PythonRef{};
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
  if (arguments) {
    const PythonRef rest = text_list(launch.arguments);
    if (!rest || PyList_SetSlice(arguments.get(), 1, PY_SSIZE_T_MAX, rest.get()) != 0) return failed();
  }
  if (command_line) {
    const PythonRef whole = text_list(launch.command_line);
    if (!whole || PyList_SetSlice(command_line.get(), 0, PY_SSIZE_T_MAX, whole.get()) != 0) return failed();
  }
  let_go();
  return {};
}

}  // namespace kiln::image
