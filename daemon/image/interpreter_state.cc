#include "daemon/image/interpreter_state.h"

namespace kiln::image {
namespace {

PythonRef attribute(const char* module, const char* name) {
  const PythonRef imported{PyImport_ImportModule(module)};
  return PythonRef{imported ? PyObject_GetAttrString(imported.get(), name) : nullptr};
}

// For modules that a plain interpreter does not have loaded at this point: they must not show up in
// sys.modules.
PythonRef hidden_attribute(const char* module, const char* name) {
  PyObject* modules = PyImport_GetModuleDict();
  const bool was_loaded = PyDict_GetItemString(modules, module) != nullptr;
  PythonRef value = attribute(module, name);
  if (!was_loaded && value) PyDict_DelItemString(modules, module);
  return value;
}

long flag(const char* name) {
  PyObject* flags = PySys_GetObject("flags");
  const PythonRef value{PyObject_GetAttrString(flags, name)};
  if (!value) {
    PyErr_Clear();  // a flag of later versions
    return 0;
  }
  return PyLong_AsLong(value.get());
}

// What -u and PYTHONUNBUFFERED leave a trace of; sys.flags has none.
bool writes_through(PyObject* stream) {
  const PythonRef value{stream != nullptr ? PyObject_GetAttrString(stream, "write_through") : nullptr};
  return value && PyObject_IsTrue(value.get()) == 1;
}

// zipimport.zipimporter, and importlib's closure for directories.
bool has_plain_path_hooks() {
  PyObject* hooks = PySys_GetObject("path_hooks");
  if (hooks == nullptr || PyList_Size(hooks) != 2) return false;
  const PythonRef name{PyObject_GetAttrString(PyList_GetItem(hooks, 1), "__name__")};
  const PythonRef zip = attribute("zipimport", "zipimporter");
  PyErr_Clear();
  return name && PyList_GetItem(hooks, 0) == zip.get() &&
         PyUnicode_CompareWithASCIIString(name.get(), "path_hook_for_FileFinder") == 0;
}

std::string cache_tag() {
  PyObject* implementation = PySys_GetObject("implementation");
  const PythonRef tag{implementation != nullptr ? PyObject_GetAttrString(implementation, "cache_tag")
                                                : nullptr};
  const PythonRef bytes{tag && tag.get() != Py_None ? PyUnicode_EncodeFSDefault(tag.get()) : nullptr};
  PyErr_Clear();
  return bytes ? PyBytes_AsString(bytes.get()) : "";
}

long minor_version() {
  PyObject* version = PySys_GetObject("version_info");
  const PythonRef minor{PySequence_GetItem(version, 1)};
  return minor ? PyLong_AsLong(minor.get()) : -1;
}

}  // namespace

InterpreterState& interpreter_state() {
  static auto* state = new InterpreterState;  // never destroyed: it must outlive the interpreter
  return *state;
}

Result<void> read_interpreter_state() {
  InterpreterState& state = interpreter_state();
  state.minor = static_cast<int>(minor_version());
  state.optimize = static_cast<int>(flag("optimize"));
  state.adds_script_dir = flag("isolated") == 0 && flag("safe_path") == 0;
  state.open = attribute("io", "open");
  state.text_io_wrapper = attribute("_io", "TextIOWrapper");
  state.string_io = attribute("_io", "StringIO");
  state.io_base = attribute("_io", "_IOBase");
  state.marshal_loads = attribute("marshal", "loads");
  state.fix_filename = attribute("_imp", "_fix_co_filename");
  state.cache_tag = cache_tag();
  state.environment = attribute("posix", "environ");
  state.source_loader = attribute("_frozen_importlib_external", "SourceFileLoader");
  state.sourceless_loader = attribute("_frozen_importlib_external", "SourcelessFileLoader");
  state.builtin_importer = attribute("_frozen_importlib", "BuiltinImporter");
  state.get_profile = attribute("sys", "getprofile");
  state.get_trace = attribute("sys", "gettrace");
  if (state.minor >= 12) {
    const PythonRef monitoring = attribute("sys", "monitoring");
    state.get_tool = PythonRef{PyObject_GetAttrString(monitoring.get(), "get_tool")};
  }
  state.signal = attribute("_signal", "signal");
  state.ignore = attribute("_signal", "SIG_IGN");
  state.weak_reference = attribute("_weakref", "ref");
  state.gc_objects = hidden_attribute("gc", "get_objects");
  state.gc_stats = hidden_attribute("gc", "get_stats");
  state.gc_frozen = hidden_attribute("gc", "get_freeze_count");
  state.gc_debug = hidden_attribute("gc", "get_debug");
  state.gc_callbacks = hidden_attribute("gc", "callbacks");
  state.gc_is_enabled = hidden_attribute("gc", "isenabled");
  state.gc_enable = hidden_attribute("gc", "enable");
  state.gc_disable = hidden_attribute("gc", "disable");
  PyObject* input = PySys_GetObject("stdin");
  if (input != nullptr) {
    state.stream_encoding = PythonRef{PyObject_GetAttrString(input, "encoding")};
    state.stream_errors = PythonRef{PyObject_GetAttrString(input, "errors")};
  }
  state.plain_path_hooks = has_plain_path_hooks();
  state.unbuffered = writes_through(PySys_GetObject("stdout"));
  PyObject* main = PyImport_AddModule("__main__");
  state.main_dict = main != nullptr ? PyModule_GetDict(main) : nullptr;
  if (PyErr_Occurred() != nullptr || !state.stream_errors || state.main_dict == nullptr) {
    return Error{Reason::interpreter, "unknown interpreter: " + take_python_error(), {}};
  }
  return {};
}

void release_interpreter_state() {
  interpreter_state() = InterpreterState{};
}

Result<void> note_collector_state() {
  interpreter_state().collections = count_collections();
  interpreter_state().frozen_objects = count_frozen_objects();
  if (PyErr_Occurred() != nullptr) return Error{Reason::interpreter, take_python_error(), {}};
  return {};
}

long long count_frozen_objects() {
  const PythonRef count{PyObject_CallObject(interpreter_state().gc_frozen.get(), nullptr)};
  return count ? PyLong_AsLongLong(count.get()) : -1;
}

CollectionCounts count_collections() {
  CollectionCounts counts{-1, -1, -1};
  const PythonRef stats{PyObject_CallObject(interpreter_state().gc_stats.get(), nullptr)};
  for (std::size_t i = 0; stats && i < counts.size(); ++i) {
    PyObject* generation = PyList_GetItem(stats.get(), static_cast<Py_ssize_t>(i));
    PyObject* count = generation != nullptr ? PyDict_GetItemString(generation, "collections") : nullptr;
    if (count != nullptr) counts[i] = PyLong_AsLongLong(count);
  }
  return counts;
}

std::string take_python_error() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  const PythonRef owned_type{type};
  const PythonRef owned_value{value};
  const PythonRef owned_traceback{traceback};
  const PythonRef text{PyObject_Str(value != nullptr ? value : Py_None)};
  const PythonRef bytes{text ? PyUnicode_AsEncodedString(text.get(), "utf-8", "backslashreplace") : nullptr};
  PyErr_Clear();
  return bytes ? PyBytes_AsString(bytes.get()) : "?";
}

}  // namespace kiln::image
