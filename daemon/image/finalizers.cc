#include "daemon/image/finalizers.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/image/extensions.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/late_finalizers.h"
#include "daemon/image/look.h"
#include "daemon/image/new_objects.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

// Types with finalizers that nobody can see the work of.
struct Quiet {
  const char* module;
  const char* name;
  const char* reason;
};
constexpr std::array kQuiet{
    Quiet{"asgiref.local", "Local", "it lets go of values, which are looked at by themselves"},
    Quiet{"django.core.management.base", "OutputWrapper",
          "it flushes another stream, which is looked at by itself"},
    Quiet{"_io", "StringIO", "it is nothing but memory"},
    Quiet{"_io", "BytesIO", "it is nothing but memory"},
};

bool is_quiet(PyObject* type) {
  const PythonRef module = attribute(type, "__module__");
  const PythonRef name = attribute(type, "__qualname__");
  return std::ranges::any_of(kQuiet, [&](const Quiet& quiet) {
    return is_text(name.get(), quiet.name) && is_text(module.get(), quiet.module);
  });
}

// What a type tells about its instances.
enum class Verdict { harmless, generator, stream, weak_reference, finalizer };

bool has_attribute(PyObject* type, const char* name) {
  return static_cast<bool>(attribute(type, name));
}

bool is_true(const PythonRef& value) {
  return value && PyObject_IsTrue(value.get()) == 1;
}

class Search {
 public:
  bool matters(PyObject* object) {
    if (!may_be_seen(object)) return false;
    PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(object));
    culprit_ =
        text_of(attribute(type, "__module__").get()) + "." + text_of(attribute(type, "__qualname__").get());
    return true;
  }
  // The type of what matters.
  const std::string& culprit() const { return culprit_; }

  // Or a coroutine.
  bool is_generator(PyObject* object) { return verdict_of(Py_TYPE(object)) == Verdict::generator; }

  static bool is_suspended(PyObject* generator) {
    for (const char* name : {"gi_frame", "cr_frame", "ag_frame"}) {
      const PythonRef frame = attribute(generator, name);
      if (frame) return frame.get() != Py_None;
    }
    return true;
  }

 private:
  bool may_be_seen(PyObject* object) {
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

  // Instances of such a class (__slots__ = () and __del__) are invisible to the collector: the class must do.
  // The interpreter's own posix.ScandirIterator is one; all it does is to warn (see warnings_are_asked_for).
  static bool is_untracked_finalizer(PyObject* type) {
    const unsigned long flags = PyType_GetFlags(reinterpret_cast<PyTypeObject*>(type));
    if ((flags & Py_TPFLAGS_HEAPTYPE) == 0 || (flags & Py_TPFLAGS_HAVE_GC) != 0) return false;
    return has_attribute(type, "__del__") && !is_text(attribute(type, "__name__").get(), "ScandirIterator");
  }

  Verdict verdict_of(PyTypeObject* type) {
    const auto known = verdicts_.find(type);
    if (known != verdicts_.end()) return known->second;
    const Verdict verdict = judge(reinterpret_cast<PyObject*>(type));
    verdicts_.emplace(type, verdict);
    return verdict;
  }

  static Verdict judge(PyObject* type) {
    if (is_quiet(type)) return Verdict::harmless;
    if (PyObject_IsSubclass(type, interpreter_state().io_base.get()) == 1) return Verdict::stream;
    if (PyObject_IsSubclass(type, interpreter_state().weak_reference.get()) == 1)
      return Verdict::weak_reference;
    if (is_of_sqlite(type)) return Verdict::finalizer;
    if (!has_attribute(type, "__del__")) return Verdict::harmless;
    const bool is_generator =
        has_attribute(type, "gi_frame") || has_attribute(type, "cr_frame") || has_attribute(type, "ag_frame");
    return is_generator ? Verdict::generator : Verdict::finalizer;
  }

  // A connection rolls an open transaction back, and removes its journal.
  static bool is_of_sqlite(PyObject* type) {
    const PythonRef classes = attribute(type, "__mro__");
    for (Py_ssize_t i = 0; classes && i < PyTuple_Size(classes.get()); ++i) {
      if (is_text(attribute(PyTuple_GetItem(classes.get(), i), "__module__").get(), "sqlite3")) return true;
    }
    return false;
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

  // The callbacks of WeakSet, WeakValueDictionary, logging, abc and the locks of modules that are being
  // imported remove an entry, and that of weakref.finalize does nothing after atexit; any other may do
  // anything.
  static bool has_foreign_callback(PyObject* reference) {
    const PythonRef callback = attribute(reference, "__callback__");
    if (!callback || callback.get() == Py_None) return false;
    const PythonRef module = attribute(callback.get(), "__module__");
    if (is_text(module.get(), "weakref")) return is_of_weak_method(callback.get());
    if (is_text(module.get(), "_weakrefset")) return false;
    if (is_text(module.get(), "logging"))
      return !is_text(attribute(callback.get(), "__name__").get(), "_removeHandlerRef");
    if (is_text(module.get(), "importlib._bootstrap") || is_text(module.get(), "_frozen_importlib"))
      return !is_text(attribute(callback.get(), "__name__").get(), "cb");
    return !is_native_bookkeeping(callback.get());
  }

  // WeakMethod calls what it was given, if it was given something: the first of the callback's own variables.
  static bool is_of_weak_method(PyObject* callback) {
    if (!is_text(attribute(callback, "__qualname__").get(), "WeakMethod.__new__.<locals>._cb")) return false;
    const PythonRef cells = attribute(callback, "__closure__");
    if (!cells || PyTuple_Size(cells.get()) < 1) return true;
    return attribute(PyTuple_GetItem(cells.get(), 0), "cell_contents").get() != Py_None;
  }

  // _abc's own and that of threading.local: builtins without a module, bound to a weak reference.
  static bool is_native_bookkeeping(PyObject* callback) {
    const PythonRef self = attribute(callback, "__self__");
    const PythonRef name = attribute(callback, "__name__");
    return PyCFunction_Check(callback) != 0 && self &&
           (is_text(name.get(), "_destroy") || is_text(name.get(), "_localdummy_destroyed")) &&
           PyObject_IsInstance(self.get(), interpreter_state().weak_reference.get()) == 1;
  }

  std::unordered_map<PyTypeObject*, Verdict> verdicts_;
  std::string culprit_;
};

// With -W or PYTHONWARNINGS, what is left open may be warned of at the end.
bool warnings_are_asked_for() {
  PyObject* options = PySys_GetObject("warnoptions");
  return options == nullptr || PyList_Size(options) != 0;
}

// gc.callbacks and gc.set_debug make the collector's last work visible, and audit hooks that there was any.
bool is_watched() {
  const InterpreterState& state = interpreter_state();
  const PythonRef debug{PyObject_CallObject(state.gc_debug.get(), nullptr)};
  return state.audited || PyList_Size(state.gc_callbacks.get()) != 0 || !debug ||
         PyLong_AsLong(debug.get()) != 0;
}

std::string& own_reason() {
  static auto* reason = new std::string;
  return *reason;
}

// Those that an image has under way: the `with` blocks and loops that its stop lies in. Most have ended when
// a run does. By weak references, for nothing here may keep one alive.
std::vector<PyObject*>& own_generators() {
  static auto* generators = new std::vector<PyObject*>;
  return *generators;
}

bool note_generator(PyObject* generator) {
  PyObject* reference = PyWeakref_NewRef(generator, nullptr);
  if (reference == nullptr) return false;
  own_generators().push_back(reference);
  return true;
}

bool is_any_under_way() {
  return std::ranges::any_of(own_generators(), [](PyObject* reference) {
    const PythonRef generator = PythonRef::borrowed(PyWeakref_GetObject(reference));
    return generator.get() != Py_None && Search::is_suspended(generator.get());
  });
}

}  // namespace

std::string note_own_finalizers() {
  own_reason() = note_own_extensions();
  own_generators().clear();
  forget_classes();
  watch_class_changes();
  Search search;
  for (int generation = 0; generation < 3; ++generation) {
    const PythonRef objects{PyObject_CallFunction(interpreter_state().gc_objects.get(), "i", generation)};
    for (Py_ssize_t i = 0; objects && own_reason().empty() && i < PyList_Size(objects.get()); ++i) {
      PyObject* object = PyList_GetItem(objects.get(), i);
      if (search.matters(object) && !(search.is_generator(object) && note_generator(object)))
        own_reason() = "an object of " + search.culprit();
      if (PyType_Check(object) != 0) note_class(reinterpret_cast<PyTypeObject*>(object));
    }
  }
  order_classes();
  PyErr_Clear();
  return own_reason();
}

bool finalization_matters() {
  const InterpreterState& state = interpreter_state();
  if (!own_reason().empty() || is_watched() || warnings_are_asked_for()) return true;
  if (has_unknown_extension() || any_was_given_finalizer() || is_any_under_way()) return true;
  // Frozen objects are hidden from get_objects.
  if (count_frozen_objects() != state.frozen_objects) return true;
  Search search;
  const bool found = any_new_object([&](PyObject* object) { return search.matters(object); });
  PyErr_Clear();
  return found;
}

}  // namespace kiln::image
