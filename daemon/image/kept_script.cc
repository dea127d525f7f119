#include "daemon/image/kept_script.h"

#include "common/overlay.h"
#include "common/pyc.h"
#include "daemon/image/bytecode_hook.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/overlay_file.h"

namespace kiln::image {
namespace {

constexpr std::size_t kMinSourceBytes = 512;

// Empty: there is none.
std::string place_of(const std::string& path, std::size_t source_size) {
  const InterpreterState& state = interpreter_state();
  const bool is_kept = source_size >= kMinSourceBytes && path.starts_with('/') && path.ends_with(".py");
  if (!is_kept || installed_overlay().empty() || state.cache_tag.empty()) return {};
  return overlay_path(installed_overlay(), cache_from_source(path, state.cache_tag, state.optimize));
}

// As importlib does with bytecode that was moved: in the code and all that is nested in it.
bool set_filename(PyObject* code, const std::string& filename) {
  const PythonRef name{
      PyUnicode_DecodeFSDefaultAndSize(filename.data(), static_cast<Py_ssize_t>(filename.size()))};
  PyObject* fix = interpreter_state().fix_filename.get();
  const PythonRef done{name ? PyObject_CallFunctionObjArgs(fix, code, name.get(), nullptr) : nullptr};
  return static_cast<bool>(done);
}

PythonRef unmarshal(PyObject* file, std::size_t header_size) {
  const PythonRef view{PyMemoryView_FromObject(file)};
  const PythonRef body{
      view ? PySequence_GetSlice(view.get(), static_cast<Py_ssize_t>(header_size), PyBytes_Size(file))
           : nullptr};
  PyObject* loads = interpreter_state().marshal_loads.get();
  return PythonRef{body ? PyObject_CallFunctionObjArgs(loads, body.get(), nullptr) : nullptr};
}

// The order of a set depends on that of its making, which marshal changes: what is unmarshalled need not be
// what would be compiled. (A module is unmarshalled under Python, too.)
bool holds_set(PyObject* code) {
  const PythonRef constants{PyObject_GetAttrString(code, "co_consts")};
  const Py_ssize_t count = constants ? PyTuple_Size(constants.get()) : 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* constant = PyTuple_GetItem(constants.get(), i);
    if (Py_TYPE(constant) == &PyFrozenSet_Type) return true;
    if (Py_TYPE(constant) == Py_TYPE(code) && holds_set(constant)) return true;
  }
  return false;
}

}  // namespace

KeptScript::KeptScript(std::string path, const std::string& source)
    : path_(std::move(path)), source_(source), place_(place_of(path_, source.size())) {}

PythonRef KeptScript::code(const std::string& filename) {
  if (place_.empty()) return {};
  const UniqueFd fd = open_overlay_file(place_);
  if (!fd || !is_private_dir(installed_overlay())) return {};
  const auto magic = static_cast<std::uint32_t>(PyImport_GetMagicNumber());
  const PythonRef file = read_overlay_file(fd.get(), source_, magic);
  PythonRef code = file ? unmarshal(file.get(), pyc_header_size(magic)) : PythonRef{};
  if (code && holds_set(code.get())) {
    place_.clear();
    return {};
  }
  const bool is_good = code && set_filename(code.get(), filename);
  PyErr_Clear();
  return is_good ? std::move(code) : PythonRef{};
}

}  // namespace kiln::image
