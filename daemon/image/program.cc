#include "daemon/image/program.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "common/unique_fd.h"
#include "daemon/image/bytecode_hook.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/kept_script.h"
#include "daemon/image/start_config.h"

namespace kiln::image {
namespace {

PythonRef decode_path(const std::string& bytes) {
  return PythonRef{PyUnicode_DecodeFSDefaultAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size()))};
}

Error python_failure(Reason reason) {
  return {reason, take_python_error(), {}};
}

Result<PythonRef> string_list(const std::vector<std::string>& texts) {
  PythonRef list{PyList_New(static_cast<Py_ssize_t>(texts.size()))};  // no longer than it must
  Py_ssize_t at = 0;
  for (const std::string& text : texts) {
    PythonRef item = decode_path(text);
    if (!list || !item || PyList_SetItem(list.get(), at++, item.release()) != 0)
      return python_failure(Reason::setup);
  }
  return list;
}

Result<void> set_arguments(const Launch& launch) {
  const char* names[] = {nullptr, "-m", "-c"};
  const char* option = names[static_cast<std::size_t>(launch.kind)];
  std::vector<std::string> whole{option != nullptr ? std::string(option) : launch.target};
  whole.insert(whole.end(), launch.arguments.begin(), launch.arguments.end());
  change_start_arguments(whole, launch.command_line);
  const PythonRef arguments = TRY(string_list(whole));
  if (PySys_SetObject("argv", arguments.get()) != 0) return python_failure(Reason::setup);
  if (interpreter_state().minor < 10) return {};
  const PythonRef line = TRY(string_list(launch.command_line));
  if (PySys_SetObject("orig_argv", line.get()) != 0) return python_failure(Reason::setup);
  return {};
}

Result<void> put_first_on_path(const std::string& dir) {
  change_start_path(dir);
  PyObject* path = PySys_GetObject("path");
  const PythonRef entry = decode_path(dir);
  if (path == nullptr || !entry || PyList_Insert(path, 0, entry.get()) != 0)
    return python_failure(Reason::setup);
  return {};
}

// sys.path[0], unless -I or -P keeps Python from it.
Result<void> set_first_path(const std::string& dir) {
  return interpreter_state().adds_script_dir ? put_first_on_path(dir) : Result<void>{};
}

std::string current_dir() {
  std::array<char, PATH_MAX> buffer{};
  return ::getcwd(buffer.data(), buffer.size()) != nullptr ? buffer.data() : "";
}

// With all symlinks resolved; as it is where that fails.
std::string resolved(const std::string& script) {
  std::array<char, PATH_MAX> path{};
  return ::realpath(script.c_str(), path.data()) != nullptr ? path.data() : script;
}

// _PyPathConfig_ComputeSysPath0: the directory of the resolved script.
std::string dir_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "";
  return path.substr(0, slash == 0 ? 1 : slash);
}

// Since 3.9 the script's path is made absolute (config_run_filename_abspath).
std::string run_filename(const std::string& script) {
  if (interpreter_state().minor < 9 || script[0] == '/') return script;
  const std::string cwd = current_dir();
  if (cwd.empty()) return script;
  if (script == "." && interpreter_state().minor >= 11) return cwd;
  return cwd + "/" + script;
}

bool set_main(const char* name, PyObject* value) {
  return value != nullptr && PyDict_SetItemString(interpreter_state().main_dict, name, value) == 0;
}

Result<void> set_file_attributes(const std::string& path, PyObject* loader_type) {
  const PythonRef file = decode_path(path);
  const PythonRef loader{file ? PyObject_CallFunction(loader_type, "sO", "__main__", file.get()) : nullptr};
  if (!set_main("__file__", file.get()) || !set_main("__cached__", Py_None) ||
      !set_main("__loader__", loader.get())) {
    return python_failure(Reason::setup);
  }
  return {};
}

void forget_file_attributes() {
  for (const char* name : {"__file__", "__cached__"}) {
    if (PyDict_DelItemString(interpreter_state().main_dict, name) != 0) PyErr_Clear();
  }
}

Result<std::string> read_file(int fd, std::size_t size) {
  std::string bytes(size + 1, '\0');  // one more, to see growth
  std::size_t filled = 0;
  while (true) {
    if (filled == bytes.size()) bytes.resize(bytes.size() * 2);
    const ssize_t got = ::read(fd, bytes.data() + filled, bytes.size() - filled);
    if (got < 0) return errno_error("cannot read the program", Reason::target_unreadable);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

// PEP 263: a cookie in the first two lines, in a comment. Reading a file with another codec goes line by line
// through it, which compile() does not: only UTF-8 is surely the same.
bool has_other_encoding(std::string_view source) {
  for (int line = 0; line < 2 && !source.empty(); ++line) {
    const std::size_t end = source.find('\n');
    const std::string_view text = source.substr(0, end);
    const std::size_t comment = text.find('#');
    const std::size_t cookie = comment == std::string_view::npos ? comment : text.find("coding", comment);
    if (cookie != std::string_view::npos) {
      std::string_view name = text.substr(cookie + 6);
      if (!name.empty() && (name[0] == ':' || name[0] == '=')) {
        name.remove_prefix(1);
        while (!name.empty() && (name[0] == ' ' || name[0] == '\t')) name.remove_prefix(1);
        return !(name.starts_with("utf-8") || name.starts_with("UTF-8") || name.starts_with("utf8")) ||
               (name.size() > 5 && name[5] == '-') || (name.size() > 5 && name[5] == '_');
      }
    }
    if (end == std::string_view::npos) break;
    source.remove_prefix(end + 1);
  }
  return false;
}

bool has_lone_carriage_return(std::string_view source) {
  for (std::size_t at = source.find('\r'); at != std::string_view::npos; at = source.find('\r', at + 1)) {
    if (at + 1 == source.size() || source[at + 1] != '\n') return true;
  }
  return false;
}

// Puts another object in the place of sys.stderr for as long as it lives.
class CapturedErrors {
 public:
  CapturedErrors()
      : former_(PythonRef::borrowed(PySys_GetObject("stderr"))),
        buffer_(PyObject_CallObject(interpreter_state().string_io.get(), nullptr)) {
    PySys_SetObject("stderr", buffer_.get());
  }
  ~CapturedErrors() { PySys_SetObject("stderr", former_.get()); }
  CapturedErrors(const CapturedErrors&) = delete;
  CapturedErrors& operator=(const CapturedErrors&) = delete;

  bool empty() const {
    const PythonRef position{PyObject_CallMethod(buffer_.get(), "tell", nullptr)};
    return position && PyLong_AsLong(position.get()) == 0;
  }

 private:
  PythonRef former_;
  PythonRef buffer_;
};

// The compiler does not look into comments; a file's reader does.
bool is_utf8(const std::string& source) {
  const PythonRef decoded{
      PyUnicode_DecodeUTF8(source.data(), static_cast<Py_ssize_t>(source.size()), "strict")};
  if (!decoded) PyErr_Clear();
  return static_cast<bool>(decoded);
}

// The parser of 3.8 prints about an overflow of its own by C's stderr; who execs the program will see that
// again.
class SilencedParser {
 public:
  SilencedParser() {
    if (interpreter_state().minor > 8) return;
    saved_.reset(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
    const UniqueFd null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    if (saved_) ::dup2(null.get(), STDERR_FILENO);
  }
  ~SilencedParser() {
    if (saved_) ::dup2(saved_.get(), STDERR_FILENO);
  }
  SilencedParser(const SilencedParser&) = delete;
  SilencedParser& operator=(const SilencedParser&) = delete;

 private:
  UniqueFd saved_;
};

// Not by the builtin: its first call in a process makes some 200 types for syntax trees, a good millisecond.
Result<PythonRef> compile(const std::string& source, const std::string& filename) {
  if (source.find('\0') != std::string::npos)
    return Error{Reason::compile_error, "a NUL byte in the source", {}};
  if (has_other_encoding(source) || !is_utf8(source)) return Error{Reason::source_encoding, {}, {}};
  const SilencedParser silenced;
  const CapturedErrors captured;
  PythonRef code{Py_CompileString(source.c_str(), filename.c_str(), Py_file_input)};
  if (!code) return python_failure(Reason::compile_error);
  if (!captured.empty()) return Error{Reason::compile_warning, {}, {}};
  return code;
}

// Does an importer answer for the path, as for a directory or zip file (pymain_get_importer)?
Result<bool> is_importable_path(const std::string& path) {
  const PythonRef name = decode_path(path);
  const PythonRef importer{name ? PyImport_GetImporter(name.get()) : nullptr};
  if (!importer) return python_failure(Reason::setup);
  return importer.get() != Py_None;
}

// Could the file be a zip file? Its "end of central directory" comes before a comment of at most 64 KiB.
bool may_be_zip(int fd, off_t size) {
  constexpr off_t kFarthest = 22 + 0xffff;
  std::string tail(static_cast<std::size_t>(std::min(size, kFarthest)), '\0');
  const ssize_t got = ::pread(fd, tail.data(), tail.size(), size - static_cast<off_t>(tail.size()));
  return got != static_cast<ssize_t>(tail.size()) || tail.find("PK\5\6") != std::string::npos;
}

// The same question about a regular file, answered for Python's own importers without asking them: of files,
// only zip files hold modules (zipimport._read_directory).
Result<bool> is_importable_file(const std::string& path, int fd, off_t size) {
  PyObject* answers = interpreter_state().plain_path_hooks ? PySys_GetObject("path_importer_cache") : nullptr;
  if (answers == nullptr || may_be_zip(fd, size)) return is_importable_path(path);
  const PythonRef name = decode_path(path);
  // Kept as PyImport_GetImporter keeps it.
  if (!name || PyDict_SetItem(answers, name.get(), Py_None) != 0) return python_failure(Reason::setup);
  return false;
}

// maybe_pyc_file: by name, else by the first two bytes of the magic number.
bool is_bytecode(const std::string& path, std::string_view bytes) {
  if (path.ends_with(".pyc")) return true;
  const auto magic = static_cast<std::uint32_t>(PyImport_GetMagicNumber());
  return bytes.size() >= 2 && static_cast<unsigned char>(bytes[0]) == (magic & 0xff) &&
         static_cast<unsigned char>(bytes[1]) == (magic >> 8 & 0xff);
}

void call_flush(const char* stream) {
  PyObject* file = PySys_GetObject(stream);
  if (file == nullptr) return;
  const PythonRef done{PyObject_CallMethod(file, "flush", nullptr)};
  if (!done) PyErr_Clear();
}

// flush_io of pythonrun.c.
void flush_streams() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  call_flush("stderr");
  call_flush("stdout");
  PyErr_Restore(type, value, traceback);
}

// Prints a string as the message that it is. Empty if CODE is none of the usual kinds.
std::optional<int> simple_exit_code(PyObject* code) {
  if (code == Py_None) return 0;
  if (PyLong_Check(code) != 0) {
    int overflow = 0;
    const long value = PyLong_AsLongAndOverflow(code, &overflow);
    if (overflow == 0 && value >= INT_MIN && value <= INT_MAX) return static_cast<int>(value);
    return std::nullopt;
  }
  PyObject* errors = PySys_GetObject("stderr");
  if (Py_TYPE(code) != &PyUnicode_Type || errors == nullptr || errors == Py_None) return std::nullopt;
  std::fflush(stdout);
  if (PyFile_WriteObject(code, errors, Py_PRINT_RAW) != 0) PyErr_Clear();
  PySys_WriteStderr("\n");
  PyErr_Clear();
  return 1;
}

// handle_system_exit of pythonrun.c, for the exit codes that programs use: None, an int of C's size, a
// string. Others are Python's own to handle, messages and all; it does not return then.
int exit_code_of_system_exit() {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  std::optional<int> exit_code;
  {
    // Nothing here may hold it any longer: it may be all that a file is held by, which is written at the end.
    const PythonRef code{value != nullptr ? PyObject_GetAttrString(value, "code") : nullptr};
    PyErr_Clear();
    if (code) exit_code = simple_exit_code(code.get());
  }
  if (!exit_code) {
    PyErr_Restore(type, value, traceback);
    PyErr_Print();
    return 1;  // not reached
  }
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
  std::fflush(stdout);
  return *exit_code;
}

}  // namespace

Result<Program> Program::prepare(const Launch& launch) {
  Program program;
  TRY_VOID(set_arguments(launch));
  switch (launch.kind) {
    case TargetKind::file:
      TRY_VOID(program.prepare_file(launch));
      break;
    case TargetKind::module:
      TRY_VOID(program.prepare_module(launch));
      break;
    case TargetKind::command:
      TRY_VOID(program.prepare_command(launch));
      break;
  }
  return program;
}

Result<void> Program::prepare_module(const Launch& launch) {
  change_start_target(launch.kind, launch.target);
  module_ = launch.target;
  entry_ = "-m " + module_;
  sets_argv0_ = true;
  const std::string cwd = current_dir();
  return cwd.empty() ? Result<void>{} : set_first_path(cwd);
}

Result<void> Program::prepare_file(const Launch& launch) {
  const std::string path = run_filename(launch.target);
  change_start_target(launch.kind, path);
  entry_ = resolved(launch.target);
  // Opening a pipe or device for reading would already do something to it.
  const UniqueFd location{::open(path.c_str(), O_PATH | O_CLOEXEC)};
  if (!location) {
    return errno_error("cannot open " + launch.target,
                       errno == ENOENT ? Reason::target_missing : Reason::target_unreadable);
  }
  struct stat status {};
  if (::fstat(location.get(), &status) != 0)
    return errno_error("cannot stat " + launch.target, Reason::target_unreadable);
  // What can be read only once must be left to who may run it.
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
    return Error{Reason::target_unreadable, launch.target + " is not a regular file", {}};
  }
  if (S_ISDIR(status.st_mode)) {
    if (TRY(is_importable_path(path))) return prepare_package(path);
    return Error{Reason::target_unreadable, launch.target + " is a directory", {}};
  }
  const UniqueFd fd{
      ::open(("/proc/self/fd/" + std::to_string(location.get())).c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd) return errno_error("cannot open " + launch.target, Reason::target_unreadable);
  if (TRY(is_importable_file(path, fd.get(), status.st_size))) return prepare_package(path);
  const std::string bytes = TRY(read_file(fd.get(), static_cast<std::size_t>(status.st_size)));
  TRY_VOID(set_first_path(dir_of(entry_)));
  is_file_ = true;
  return is_bytecode(path, bytes) ? prepare_bytecode(path, bytes) : prepare_source(path, bytes);
}

// A directory or zip file: its __main__, by runpy, with the path itself first on sys.path, -I or not.
Result<void> Program::prepare_package(const std::string& path) {
  module_ = "__main__";
  return put_first_on_path(path);
}

Result<void> Program::prepare_bytecode(const std::string& path, const std::string& bytes) {
  constexpr std::size_t kHeader = 16;  // PEP 552; looked at no further than the magic, as pythonrun.c does
  std::uint32_t magic = 0;
  if (bytes.size() > kHeader) std::memcpy(&magic, bytes.data(), sizeof magic);
  if (magic != static_cast<std::uint32_t>(PyImport_GetMagicNumber())) {
    return Error{Reason::bad_pyc, path + " has another magic number", {}};
  }
  const PythonRef body{
      PyBytes_FromStringAndSize(bytes.data() + kHeader, static_cast<Py_ssize_t>(bytes.size() - kHeader))};
  code_ = PythonRef{
      body ? PyObject_CallFunctionObjArgs(interpreter_state().marshal_loads.get(), body.get(), nullptr)
           : nullptr};
  if (!code_) return python_failure(Reason::bad_pyc);
  const PythonRef kind{PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(code_.get())), "__name__")};
  if (PyUnicode_CompareWithASCIIString(kind.get(), "code") != 0) {
    return Error{Reason::bad_pyc, path + " holds no code", {}};
  }
  return set_file_attributes(path, interpreter_state().sourceless_loader.get());
}

Result<void> Program::prepare_source(const std::string& path, const std::string& bytes) {
  if (has_lone_carriage_return(bytes)) return Error{Reason::source_form, {}, {}};
  KeptScript kept(entry_, bytes);
  code_ = kept.code(path);
  if (!code_) {
    code_ = TRY(compile(bytes, path));
    if (may_write_bytecode()) uncached_source_ = kept.wanted();
  }
  return set_file_attributes(path, interpreter_state().source_loader.get());
}

namespace {

// Since 3.13 tracebacks show the lines of a command. The first argument was the file name in 3.13.0, the code
// later.
Result<void> register_command(PyObject* code, PyObject* source, const char* filename) {
  const PythonRef linecache{PyImport_ImportModule("linecache")};
  const PythonRef function{linecache ? PyObject_GetAttrString(linecache.get(), "_register_code") : nullptr};
  const PythonRef own_code{function ? PyObject_GetAttrString(function.get(), "__code__") : nullptr};
  const PythonRef names{own_code ? PyObject_GetAttrString(own_code.get(), "co_names") : nullptr};
  const PythonRef text{PyUnicode_FromString(filename)};
  const PythonRef marker{PyUnicode_FromString("co_consts")};
  if (!names || !text || !marker) return python_failure(Reason::setup);
  PyObject* key = PySequence_Contains(names.get(), marker.get()) == 1 ? code : text.get();
  const PythonRef done{PyObject_CallFunctionObjArgs(function.get(), key, source, text.get(), nullptr)};
  return done ? Result<void>{} : Result<void>{python_failure(Reason::setup)};
}

}  // namespace

Result<void> Program::prepare_command(const Launch& launch) {
  entry_ = "-c";
  TRY_VOID(set_first_path(""));
  std::string text = launch.target;
  text += '\n';  // as Modules/main.c adds one
  change_start_target(launch.kind, text);
  const PythonRef source{PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "strict")};
  if (!source) return python_failure(Reason::command_encoding);
  constexpr char kFilename[] = "<string>";
  code_ = TRY(compile(text, kFilename));
  if (interpreter_state().minor < 13) return {};
  return register_command(code_.get(), source.get(), kFilename);
}

PythonRef Program::evaluate() {
  PyObject* main = interpreter_state().main_dict;
  if (module_.empty()) return PythonRef{PyEval_EvalCode(code_.get(), main, main)};
  const PythonRef runpy{PyImport_ImportModule("runpy")};
  const PythonRef name = decode_path(module_);
  if (!runpy || !name) return {};
  const PythonRef function{PyObject_GetAttrString(runpy.get(), "_run_module_as_main")};
  if (!function) return {};
  return PythonRef{
      PyObject_CallFunctionObjArgs(function.get(), name.get(), sets_argv0_ ? Py_True : Py_False, nullptr)};
}

Program::Outcome Program::run() {
  // Held while a file runs, as by pythonrun.c: the program may delete it from sys.modules.
  const PythonRef main = PythonRef::borrowed(is_file_ ? PyImport_AddModule("__main__") : nullptr);
  const PythonRef result = evaluate();
  code_ = PythonRef{};
  Outcome outcome;
  if (is_file_) flush_streams();
  if (!result) {
    outcome.interrupted = PyErr_Occurred() == PyExc_KeyboardInterrupt;  // no subclass, as in main.c
    if (PyErr_ExceptionMatches(PyExc_SystemExit) != 0) return Outcome{exit_code_of_system_exit()};
    PyErr_Print();
    outcome.exit_code = 1;
  }
  if (is_file_) forget_file_attributes();
  return outcome;
}

}  // namespace kiln::image
