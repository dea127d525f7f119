#include "daemon/image/finalizers.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>

#include "daemon/image/interpreter_state.h"
#include "daemon/image/new_objects.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

// Extension modules of the standard library whose types do nothing visible when they are deallocated. What is
// not here is finalized: third-party modules, sqlite3 (an open transaction is rolled back), dbm (buffers),
// and others.
constexpr std::array<std::string_view, 40> kHarmlessModules{
    "_asyncio",  "_bisect",  "_blake2",      "_bz2",        "_contextvars", "_csv",
    "_datetime", "_decimal", "_elementtree", "_hashlib",    "_heapq",       "_json",
    "_lsprof",   "_lzma",    "_md5",         "_opcode",     "_pickle",      "_posixsubprocess",
    "_queue",    "_random",  "_sha1",        "_sha2",       "_sha256",      "_sha3",
    "_sha512",   "_socket",  "_ssl",         "_statistics", "_struct",      "_uuid",
    "_zoneinfo", "array",    "binascii",     "cmath",       "fcntl",        "grp",
    "math",      "select",   "unicodedata",  "zlib"};

bool is_harmless_module(std::string_view name) {
  return std::ranges::find(kHarmlessModules, name) != kHarmlessModules.end();
}

// What a type tells about its instances.
enum class Verdict { harmless, generator, stream, weak_reference, finalizer };

PythonRef attribute(PyObject* object, const char* name) {
  PythonRef value{PyObject_GetAttrString(object, name)};
  if (!value) PyErr_Clear();
  return value;
}

bool has_attribute(PyObject* type, const char* name) {
  return static_cast<bool>(attribute(type, name));
}

bool is_true(const PythonRef& value) {
  return value && PyObject_IsTrue(value.get()) == 1;
}

bool is_text(const PythonRef& object, const char* text) {
  return object && PyUnicode_Check(object.get()) != 0 &&
         PyUnicode_CompareWithASCIIString(object.get(), text) == 0;
}

class Search {
 public:
  bool matters(PyObject* object) {
    if (PyType_Check(object) && is_untracked_finalizer(object)) return true;
    switch (verdict_of(Py_TYPE(object))) {
      case Verdict::harmless:
        return false;
      case Verdict::generator:
        return is_suspended(object);
      case Verdict::stream:
        return is_open_stream(object);
      case Verdict::weak_reference:
        return has_foreign_callback(object);
      case Verdict::finalizer:
        return true;
    }
    return true;
  }

 private:
  // Instances of such a class (__slots__ = () and __del__) are invisible to the collector: the class must do.
  // The interpreter's own posix.ScandirIterator is one; all it does is to warn (see warnings_are_asked_for).
  static bool is_untracked_finalizer(PyObject* type) {
    const unsigned long flags = PyType_GetFlags(reinterpret_cast<PyTypeObject*>(type));
    if ((flags & Py_TPFLAGS_HEAPTYPE) == 0 || (flags & Py_TPFLAGS_HAVE_GC) != 0) return false;
    return has_attribute(type, "__del__") && !is_text(attribute(type, "__name__"), "ScandirIterator");
  }

  Verdict verdict_of(PyTypeObject* type) {
    const auto known = verdicts_.find(type);
    if (known != verdicts_.end()) return known->second;
    const Verdict verdict = judge(reinterpret_cast<PyObject*>(type));
    verdicts_.emplace(type, verdict);
    return verdict;
  }

  static Verdict judge(PyObject* type) {
    if (PyObject_IsSubclass(type, interpreter_state().io_base.get()) == 1) return Verdict::stream;
    if (PyObject_IsSubclass(type, interpreter_state().weak_reference.get()) == 1)
      return Verdict::weak_reference;
    if (!has_attribute(type, "__del__")) return Verdict::harmless;
    const bool is_generator =
        has_attribute(type, "gi_frame") || has_attribute(type, "cr_frame") || has_attribute(type, "ag_frame");
    return is_generator ? Verdict::generator : Verdict::finalizer;
  }

  static bool is_suspended(PyObject* generator) {
    for (const char* name : {"gi_frame", "cr_frame", "ag_frame"}) {
      const PythonRef frame = attribute(generator, name);
      if (frame) return frame.get() != Py_None;
    }
    return true;
  }

  // Our own standard streams are flushed anyway. Any other stream that is still open may hold data, or warn.
  static bool is_open_stream(PyObject* stream) {
    for (const char* name : {"__stdin__", "__stdout__", "__stderr__"}) {
      PyObject* standard = PySys_GetObject(name);
      if (standard == nullptr || standard == Py_None) continue;
      if (stream == standard) return false;
      const PythonRef buffer = attribute(standard, "buffer");
      if (buffer.get() == stream) return false;
      if (buffer && attribute(buffer.get(), "raw").get() == stream) return false;
    }
    return !is_true(attribute(stream, "closed"));
  }

  // The callbacks of WeakSet, WeakValueDictionary and abc remove an entry; any other may do anything.
  static bool has_foreign_callback(PyObject* reference) {
    const PythonRef callback = attribute(reference, "__callback__");
    if (!callback || callback.get() == Py_None) return false;
    const PythonRef module = attribute(callback.get(), "__module__");
    if (is_text(module, "weakref") || is_text(module, "_weakrefset")) return false;
    return !is_callback_of_abc(callback.get());
  }

  // _abc's own: a builtin without a module, bound to a weak reference.
  static bool is_callback_of_abc(PyObject* callback) {
    const PythonRef self = attribute(callback, "__self__");
    return PyCFunction_Check(callback) != 0 && is_text(attribute(callback, "__name__"), "_destroy") && self &&
           PyObject_IsInstance(self.get(), interpreter_state().weak_reference.get()) == 1;
  }

  std::unordered_map<PyTypeObject*, Verdict> verdicts_;
};

// Has the run loaded a shared library that is not known to be harmless?
bool loaded_unknown_extension() {
  PyObject* modules = PyImport_GetModuleDict();
  PyObject* key = nullptr;
  PyObject* module = nullptr;
  Py_ssize_t position = 0;
  while (PyDict_Next(modules, &position, &key, &module) != 0) {
    if (!PyModule_Check(module)) continue;
    const PythonRef file{PyModule_GetFilenameObject(module)};
    if (!file) {
      PyErr_Clear();
      continue;
    }
    const PythonRef path{PyUnicode_EncodeFSDefault(file.get())};
    if (!path) {
      PyErr_Clear();
      return true;
    }
    const std::string_view text = PyBytes_AsString(path.get());
    if (!text.ends_with(".so")) continue;
    std::string_view name = text.substr(text.rfind('/') + 1);
    name = name.substr(0, name.find('.'));
    if (text.find("/lib-dynload/") == std::string_view::npos || !is_harmless_module(name)) return true;
  }
  return false;
}

// With -W or PYTHONWARNINGS, what is left open may be warned of at the end.
bool warnings_are_asked_for() {
  PyObject* options = PySys_GetObject("warnoptions");
  return options == nullptr || PyList_Size(options) != 0;
}

// Data may lie in the streams that the interpreter made, while the program put others in their places.
bool streams_were_replaced() {
  return PySys_GetObject("stdout") != PySys_GetObject("__stdout__") ||
         PySys_GetObject("stderr") != PySys_GetObject("__stderr__");
}

// gc.callbacks and gc.set_debug make the collector's last work visible, and audit hooks that there was any.
bool is_watched() {
  const InterpreterState& state = interpreter_state();
  const PythonRef debug{PyObject_CallObject(state.gc_debug.get(), nullptr)};
  return state.audited || PyList_Size(state.gc_callbacks.get()) != 0 || !debug ||
         PyLong_AsLong(debug.get()) != 0;
}

bool own_finalizers = false;

}  // namespace

void note_own_finalizers() {
  Search search;
  for (int generation = 0; generation < 3; ++generation) {
    const PythonRef objects{PyObject_CallFunction(interpreter_state().gc_objects.get(), "i", generation)};
    for (Py_ssize_t i = 0; objects && i < PyList_Size(objects.get()); ++i) {
      own_finalizers = own_finalizers || search.matters(PyList_GetItem(objects.get(), i));
    }
  }
  PyErr_Clear();
}

bool finalization_matters() {
  const InterpreterState& state = interpreter_state();
  if (own_finalizers || is_watched() || warnings_are_asked_for() || streams_were_replaced()) return true;
  if (loaded_unknown_extension()) return true;
  // Frozen objects are hidden from get_objects.
  if (count_frozen_objects() != state.frozen_objects) return true;
  Search search;
  const bool found = any_new_object([&](PyObject* object) { return search.matters(object); });
  PyErr_Clear();
  return found;
}

}  // namespace kiln::image
