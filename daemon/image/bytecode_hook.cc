#include "daemon/image/bytecode_hook.h"

#include <Python.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "common/overlay.h"
#include "common/pyc.h"
#include "common/unique_fd.h"
#include "daemon/image/error_aside.h"
#include "daemon/image/fence.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/look.h"
#include "daemon/image/overlay_file.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

using Hook = PyObject* (*)(PyObject*, void*);
using SetHook = int (*)(Hook, void*);

// What the standard import is made of, to see whether it still is.
struct StandardImport {
  PythonRef loader;    // SourceFileLoader
  PythonRef to_code;   // its source_to_code
  PythonRef compile;   // builtins.compile
  PythonRef builtins;  // the dict
  PythonRef get_code;  // the code of SourceLoader.get_code
  PythonRef bytes_io;  // io.BytesIO
};

// A source that the import that runs is going to compile.
struct Compiled {
  std::string source;
  std::string pyc;
  std::int64_t changed_ns = 0;  // its ctime as it was opened
};

struct State {
  std::optional<Compiled> compiled;  // the last one
  std::string dir;
  std::uint32_t magic = 0;
  bool serves = false;  // a run is on
  bool reads = false;   // and there is an overlay
  pid_t owner = 0;      // of the notes
  RunNotes notes;
  StandardImport standard;
};

State& state() {
  static auto* state = new State;  // never destroyed: the hook cannot be taken back
  return *state;
}

// Nothing, and no error, where there is none.
PythonRef item(const PythonRef& mapping, const char* name) {
  PythonRef value{mapping ? PyMapping_GetItemString(mapping.get(), name) : nullptr};
  if (!value) PyErr_Clear();
  return value;
}

std::optional<long long> number(const PythonRef& object) {
  if (!object || !PyLong_Check(object.get())) return std::nullopt;
  return static_cast<long long>(PyLong_AsUnsignedLongLongMask(object.get()));
}

// What importlib knows, in get_code, about the module it imports. The variables are those of 3.8 to 3.13.
struct Import {
  std::string source;
  std::string pyc;
  long long mtime_s = 0;
  long long size = 0;
  bool hash_based = false;  // the bytecode in its place is
};

std::string path_variable(const PythonRef& locals, const char* name) {
  return text_of(item(locals, name).get());
}

// Whether LOADER compiles as Python does.
bool is_standard(PyObject* loader) {
  const StandardImport& standard = state().standard;
  if (loader == nullptr || reinterpret_cast<PyObject*>(Py_TYPE(loader)) != standard.loader.get())
    return false;
  const PythonRef to_code = attribute(standard.loader.get(), "source_to_code");
  return to_code.get() == standard.to_code.get() &&
         PyDict_GetItemString(standard.builtins.get(), "compile") == standard.compile.get();
}

// FRAME: of importlib's get_code, else there is none.
std::optional<Import> import_of(const PythonRef& frame) {
  const PythonRef code = frame && frame.get() != Py_None ? code_of(frame.get()) : PythonRef{};
  if (!code || code.get() != state().standard.get_code.get()) return std::nullopt;
  const PythonRef locals = attribute(frame.get(), "f_locals");
  if (!locals || !is_standard(item(locals, "self").get())) return std::nullopt;
  const auto mtime_s = number(item(locals, "source_mtime"));
  const auto size = number(item(item(locals, "st"), "size"));
  Import import{path_variable(locals, "source_path"), path_variable(locals, "bytecode_path")};
  if (import.source.empty() || import.pyc.empty() || !mtime_s || !size) return std::nullopt;
  import.mtime_s = *mtime_s;
  import.size = *size;
  import.hash_based = item(locals, "hash_based").get() == Py_True;
  return import;
}

// The import that io.open_code was called for, if it was one: importlib's get_code, two frames up, of a
// loader that compiles as Python does. In a subinterpreter it is another get_code, so nothing there is
// touched.
std::optional<Import> current_import() {
  PyObject* get_data = reinterpret_cast<PyObject*>(PyEval_GetFrame());
  return import_of(attribute(get_data, "f_back"));
}

// Whether Python would use the bytecode in FILE, which it has opened: then it shall.
bool is_usable(PyObject* file, const Import& import) {
  std::array<char, kMaxPycHeaderSize> bytes{};
  const int fd = PyObject_AsFileDescriptor(file);
  if (fd < 0) return true;  // not a file that we know
  const ssize_t size = ::pread(fd, bytes.data(), bytes.size(), 0);
  if (size < 0) return true;
  const auto header = parse_pyc_header({bytes.data(), static_cast<std::size_t>(size)});
  if (!header || header->magic != state().magic) return false;
  if (header->kind != PycKind::timestamp) return true;  // that is for Python to find out
  return *header == timestamp_header(state().magic, import.mtime_s, static_cast<std::uint64_t>(import.size));
}

// The file FD of the overlay as Python shall read it, if it is bytecode of the source.
PythonRef read_kept(int fd, const Import& import) {
  const auto source = read_overlaid_source(import.source);
  PythonRef bytes = source ? read_overlay_file(fd, *source, state().magic) : PythonRef{};
  if (!bytes) return {};
  const auto header = encode_pyc_header(
      timestamp_header(state().magic, import.mtime_s, static_cast<std::uint64_t>(import.size)));
  std::memcpy(PyBytes_AsString(bytes.get()), header.data(), header.size());
  return bytes;
}

// The answer to a wish for the bytecode PATH, which Python has opened as FILE or could not open. Nothing:
// leave it at that.
PythonRef from_overlay(PyObject* path, PyObject* file) {
  const std::string kept = overlay_path(state().dir, text_of(path));
  if (kept.empty()) return {};
  const UniqueFd fd = open_overlay_file(kept);
  if (!fd) return {};
  const auto import = current_import();
  if (!import || (file != nullptr && is_usable(file, *import))) return {};
  if (may_write_bytecode() && !is_unwritable(import->pyc)) return {};
  const PythonRef bytes = read_kept(fd.get(), *import);
  if (!bytes) return {};
  return PythonRef{PyObject_CallFunctionObjArgs(state().standard.bytes_io.get(), bytes.get(), nullptr)};
}

void close_file(PyObject* file) {
  if (file == nullptr) return;
  const PythonRef done{PyObject_CallMethod(file, "close", nullptr)};
  PyErr_Clear();
  Py_DECREF(file);
}

std::int64_t changed_ns(const struct stat& status) {
  return status.st_ctim.tv_sec * 1'000'000'000L + status.st_ctim.tv_nsec;
}

// The later one of a symlink and what it leads to. Nothing: it leads nowhere.
std::optional<std::int64_t> changed_ns(const std::string& path) {
  struct stat link {};
  struct stat target {};
  if (::lstat(path.c_str(), &link) != 0) return std::nullopt;
  if (!S_ISLNK(link.st_mode)) return changed_ns(link);
  if (::stat(path.c_str(), &target) != 0) return std::nullopt;
  return std::max(changed_ns(link), changed_ns(target));
}

// Python takes bytecode for that of its source when the source's time, in whole seconds, and size are those
// that were compiled. An edit may leave both as they were; but it changes the inode or its ctime, which
// nothing sets back. SOURCE is one that may have become another since the bytecode FD was written, or while
// it was compiled.
bool may_be_newer(const std::string& source, int fd) {
  constexpr std::int64_t kCompiling_ns = 1'000'000'000;  // from a source's stat to the rename of its bytecode
  struct stat bytecode {};
  const auto changed = changed_ns(source);
  return changed && ::fstat(fd, &bytecode) == 0 && *changed + kCompiling_ns > changed_ns(bytecode);
}

// As importlib places it, below sys.pycache_prefix if that is set.
std::optional<std::string> source_of(const std::string& path) {
  return source_from_cache(path, text_of(PySys_GetObject("pycache_prefix")));
}

// Whether FILE, the bytecode of PATH, had better be made anew by the import that opened it: then that
// rewrites it, and it is good from then on. Where it never can be rewritten, in a tree of somebody else's,
// Python's own rule has to do. The looks into frames come last, for they cost most.
bool is_suspicious(const std::string& path, PyObject* file) {
  const OpenFence own;
  const int fd = PyObject_AsFileDescriptor(file);
  const auto source = fd >= 0 ? source_of(path) : std::nullopt;
  if (!source || !may_be_newer(*source, fd) || is_unwritable(path)) return false;
  std::array<char, kMaxPycHeaderSize> bytes{};
  const ssize_t size = ::pread(fd, bytes.data(), bytes.size(), 0);
  const auto header = parse_pyc_header({bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))});
  if (!header || header->kind != PycKind::timestamp) return false;
  const auto import = current_import();
  return import && import->pyc == path;
}

void note(Note what, const std::string& path) {
  const OpenFence own;
  if (::getpid() == state().owner) state().notes.add(what, path);
}

// Takes over FILE and, where there is none, the error.
PyObject* open_bytecode(PyObject* path, PyObject* file) {
  if (file == nullptr && PyErr_ExceptionMatches(PyExc_OSError) == 0) return nullptr;
  const OpenFence own;
  ErrorAside error;
  PythonRef answer = from_overlay(path, file);
  if (!answer) return file;
  if (file == nullptr) note(Note::imported, text_of(path));  // else it was noted as it was opened
  error.forget();
  close_file(file);
  return answer.release();
}

// A source that became another after it was read, on a slow machine perhaps long before its bytecode was
// written: by its times that would be the new source's.
void check_compiled() {
  if (!state().compiled || is_fenced()) return;
  const Compiled last = *std::exchange(state().compiled, std::nullopt);
  if (::getpid() != state().owner || changed_ns(last.source) == last.changed_ns) return;
  (void)::unlink(last.pyc.c_str());
}

// A source was opened: is it going to be compiled in vain?
void note_uncached() {
  const OpenFence own;
  if (!may_write_bytecode() || ::getpid() != state().owner) return;
  const auto import = current_import();
  const auto changed = import ? changed_ns(import->source) : std::nullopt;
  if (changed) state().compiled = Compiled{import->source, import->pyc, *changed};
  // Hash-based bytecode is compared with the source; there it may be good.
  if (!import || import->hash_based || overlay_path(state().dir, import->pyc).empty()) return;
  if (is_unwritable(import->pyc)) note(Note::uncached, import->source);
}

// PyFile_OpenCodeObject without a hook.
PyObject* open_as_ever(PyObject* path) {
  const PythonRef io{PyImport_ImportModule("_io")};
  return io ? PyObject_CallMethod(io.get(), "open", "Os", path, "rb") : nullptr;
}

// By its last character, which is cheap: bytecode is .pyc.
bool is_bytecode_path(PyObject* path) {
  const Py_ssize_t size = PyUnicode_GetLength(path);
  return size > 0 && PyUnicode_ReadChar(path, size - 1) == 'c';
}

// Takes over FILE: as if there were none.
PyObject* refuse(PyObject* path, PyObject* file) {
  close_file(file);
  errno = ENOENT;
  return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
}

PyObject* open_code(PyObject* path, void*) {
  PyObject* file = open_as_ever(path);
  if (!state().serves) return file;
  check_compiled();
  const bool is_bytecode = is_bytecode_path(path);
  if (file != nullptr) {
    const std::string opened = text_of(path);
    note(Note::imported, opened);
    if (is_bytecode && is_suspicious(opened, file)) return refuse(path, file);
  }
  if (is_bytecode) return state().reads ? open_bytecode(path, file) : file;
  if (file != nullptr) note_uncached();
  return file;
}

// Bytecode without line and column tables is not what the overlay has.
bool leaves_out_tables() {
  PyObject* options = PySys_GetXOptions();
  const bool by_option = options != nullptr && PyDict_GetItemString(options, "no_debug_ranges") != nullptr;
  return by_option || std::getenv("PYTHONNODEBUGRANGES") != nullptr;
}

// Whether it is all there.
bool know_standard_import(StandardImport& standard) {
  PyObject* loader = interpreter_state().source_loader.get();
  const PythonRef io{PyImport_ImportModule("_io")};
  standard.loader = PythonRef::borrowed(loader);
  standard.to_code = attribute(loader, "source_to_code");
  standard.get_code = attribute(attribute(loader, "get_code").get(), "__code__");
  standard.builtins = PythonRef::borrowed(PyEval_GetBuiltins());
  standard.compile = PythonRef::borrowed(PyDict_GetItemString(standard.builtins.get(), "compile"));
  standard.bytes_io = attribute(io.get(), "BytesIO");
  return standard.to_code && standard.get_code && standard.compile && standard.bytes_io;
}

}  // namespace

void finish_bytecode() {
  if (state().serves) check_compiled();
}

bool may_write_bytecode() {
  PyObject* forbidden = PySys_GetObject("dont_write_bytecode");
  const int truth = forbidden != nullptr ? PyObject_IsTrue(forbidden) : -1;
  if (truth < 0) PyErr_Clear();
  return truth == 0;
}

std::string bytecode_in_the_making() {
  PythonRef frame = PythonRef::borrowed(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
  while (frame && frame.get() != Py_None) {
    if (const auto import = import_of(frame)) return import->pyc;
    frame = attribute(frame.get(), "f_back");
  }
  return {};
}

const std::string& installed_overlay() {
  return state().dir;
}

void install_bytecode_hook(const std::string& dir) {
  const auto set = reinterpret_cast<SetHook>(::dlsym(RTLD_DEFAULT, "PyFile_SetOpenCodeHook"));
  if (dir.empty() || set == nullptr || interpreter_state().audited || leaves_out_tables()) return;
  state().dir = dir;
  state().magic = static_cast<std::uint32_t>(PyImport_GetMagicNumber());
  if (!know_standard_import(state().standard) || set(open_code, nullptr) != 0) release_bytecode_hook();
  PyErr_Clear();
}

void serve_bytecode(RunNotes notes, const std::string& entry, const std::string& script) {
  if (!state().standard.loader) return;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  notes.begin(mask, interpreter_state().optimize, entry);
  if (!script.empty()) notes.add(Note::uncached, script);
  state().notes = std::move(notes);
  state().owner = ::getpid();
  state().reads = is_private_dir(state().dir);
  state().serves = true;
}

void hand_on_bytecode(RunNotes notes) {
  if (!state().serves) return;
  notes.begin_as(state().notes);
  notes.keep_from_forks();
  state().notes = std::move(notes);
  state().owner = ::getpid();
}

void release_bytecode_hook() {
  state().serves = false;
  state().dir.clear();
  state().standard = StandardImport{};
}

}  // namespace kiln::image
