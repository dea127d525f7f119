// How an interpreter becomes an image.
//
// The client starts the interpreter on the script image.py with this library preloaded (ld.so(8),
// LD_PRELOAD). When the interpreter, fully started, opens its script, it calls our fopen: at that moment the
// process is on its main thread, holds no Python frame, and is about to run a program. That is exactly where
// its children shall be, so here it stops for good: it becomes an image, and never returns.
//
// Rejected: a thread that runs a C function (_thread.start_new_thread). It has no Python frame below it
// either, but its stack is not the one that grows with the limit, its heap not the main arena, and what looks
// at the main thread (threading imported by start-up code, faulthandler's stack) has to be made believe.
#include <Python.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "common/image_channel.h"
#include "common/unique_fd.h"
#include "common/version.h"
#include "daemon/image/audit.h"
#include "daemon/image/bytecode_hook.h"
#include "daemon/image/finalizers.h"
#include "daemon/image/forget_class.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/new_objects.h"
#include "daemon/image/practice.h"
#include "daemon/image/python_ref.h"
#include "daemon/image/self_test.h"
#include "daemon/image/server.h"
#include "daemon/image/start_config.h"
#include "daemon/image/takeover.h"
#include "daemon/image/title.h"

namespace kiln::image {
namespace {

constexpr int kLibraryFd = 4;  // by which client/background.cc names this library

// What the client asked of this process, taken out of the environment before the interpreter sees it.
struct Order {
  std::string script;  // opening it is the signal; empty: this process is no image
  int channel = -1;
  bool with_site = false;
  std::string overlay;  // common/overlay.h; empty: none
};

Order& order() {
  static auto* order = new Order;
  return *order;
}

// KILN_IMAGE=CHANNEL:SITE:SCRIPT and KILN_IMAGE_OVERLAY=DIR; LD_PRELOAD begins with this library.
__attribute__((constructor)) void take_order() {
  const char* text = std::getenv("KILN_IMAGE");
  if (text == nullptr) return;
  note_name();
  char* rest = nullptr;
  order().channel = static_cast<int>(std::strtol(text, &rest, 10));
  order().with_site = rest[1] == '1';
  order().script = rest + 3;
  ::unsetenv("KILN_IMAGE");
  const char* overlay = std::getenv("KILN_IMAGE_OVERLAY");
  if (overlay != nullptr) order().overlay = overlay;
  ::unsetenv("KILN_IMAGE_OVERLAY");
  ::close(kLibraryFd);
  const char* preload = std::getenv("LD_PRELOAD");
  const char* others = preload != nullptr ? std::strchr(preload, ':') : nullptr;
  if (others != nullptr) {
    ::setenv("LD_PRELOAD", std::string(others + 1).c_str(), 1);
  } else {
    ::unsetenv("LD_PRELOAD");
  }
}

std::string to_bytes(PyObject* path) {
  if (PyBytes_Check(path)) return PyBytes_AsString(path);
  const PythonRef bytes{PyUnicode_EncodeFSDefault(path)};
  if (bytes) return PyBytes_AsString(bytes.get());
  PyErr_Clear();
  return {};
}

std::vector<std::string> to_strings(PyObject* list) {
  std::vector<std::string> strings;
  for (Py_ssize_t i = 0; i < PyList_Size(list); ++i) strings.push_back(to_bytes(PyList_GetItem(list, i)));
  return strings;
}

std::string read_script(const std::string& path) {
  std::string text;
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  char part[4096];
  for (ssize_t size = 0; (size = ::read(fd.get(), part, sizeof part)) > 0;)
    text.append(part, static_cast<std::size_t>(size));
  return text;
}

// The interpreter was started with -S; the runs that it will serve were not.
void clear_no_site_flag() {
  constexpr Py_ssize_t kNoSite = 6;  // the position of no_site in sys.flags of every served version
  PyStructSequence_SetItem(PySys_GetObject("flags"), kNoSite, PyLong_FromLong(0));
}

// image.py's prepare(): the rest of the start-up, and what it tells about it.
Result<ImageGreeting> prepare(const Order& order) {
  TRY_VOID(start_watching());
  const PythonRef globals{PyDict_New()};
  const PythonRef name{PyUnicode_FromString("_kiln_image")};
  PyDict_SetItemString(globals.get(), "__name__", name.get());
  PyDict_SetItemString(globals.get(), "__builtins__", PyEval_GetBuiltins());
  const PythonRef code{Py_CompileString(read_script(order.script).c_str(), "image.py", Py_file_input)};
  const PythonRef done{code ? PyEval_EvalCode(code.get(), globals.get(), globals.get()) : nullptr};
  PyObject* function = done ? PyDict_GetItemString(globals.get(), "prepare") : nullptr;
  const PythonRef told{function != nullptr ? PyObject_CallFunction(function, "i", order.with_site ? 1 : 0)
                                           : nullptr};
  ImageGreeting greeting;
  const char* reason = nullptr;
  const char* detail = nullptr;
  const char* version = nullptr;
  const char* tag = nullptr;
  unsigned long long magic = 0;
  int whole = 0;
  PyObject* reads = nullptr;
  PyObject* inputs = nullptr;
  if (!told || PyArg_ParseTuple(told.get(), "ssssKiOO", &reason, &detail, &version, &tag, &magic, &whole,
                                &reads, &inputs) == 0) {
    return Error{Reason::image_failed, take_python_error(), {}};
  }
  greeting.reason = reason;
  greeting.detail = detail;
  greeting.version = version;
  greeting.tag = tag;
  greeting.magic = magic;
  greeting.whole_environment = static_cast<std::uint64_t>(whole);
  greeting.reads = to_strings(reads);
  greeting.inputs = to_strings(inputs);
  forget_class(globals.get(), "RecordedEnvironment");
  PyDict_Clear(globals.get());
  StartUpEvents events = stop_watching();
  greeting.inputs.insert(greeting.inputs.end(), events.paths.begin(), events.paths.end());
  if (!events.problem.empty() && greeting.reason == word(Reason::served)) {
    greeting.reason = word(Reason::startup_code);
    greeting.detail = events.problem;
  }
  return greeting;
}

// Everything that the interpreter said while starting has been looked at; from now on nobody listens.
Result<void> silence() {
  const UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  for (int fd = 0; fd < 3; ++fd) {
    if (::dup2(null.get(), fd) < 0) return errno_error("cannot open /dev/null");
  }
  return {};
}

Result<void> set_up(const Order& order) {
  TRY_VOID(read_interpreter_state());
  note_own_environment_changes();
  note_memory_layout();
  find_start_config(order.script, order.with_site);
  TRY_VOID(self_test());
  ImageSignals::install();
  install_bytecode_hook(order.overlay);
  TRY_VOID(silence());
  TRY_VOID(practise());
  if (::chdir("/") != 0) return errno_error("cannot leave the working directory");
  TRY_VOID(note_collector_state());
  test_object_list();
  note_own_finalizers();
  return {};
}

// Python may end its main thread while it finalizes (pthread_exit(3), in the flush of a subinterpreter's
// stream up to 3.11). Then libc's unwinder comes by our frames, where it calls the copy of libgcc that we
// bring along: that aborts unless it has had the occasion to make its tables.
void make_unwinding_tables() {
  try {
    throw 0;
  } catch (int) {
  }
}

using Fopen = FILE* (*)(const char*, const char*);

// libc's own, of either name: they are one here. Looked up once, for dlsym takes a lock that a fork may find
// taken.
Fopen libc_fopen() {
  static const auto function = reinterpret_cast<Fopen>(::dlsym(RTLD_NEXT, "fopen"));
  return function;
}

[[noreturn]] void be_image() {
  PyGILState_Ensure();  // some versions open files without it
  libc_fopen();
  make_unwinding_tables();
  const Order order = std::exchange(image::order(), Order{});
  const int channel = order.channel;
  ::fcntl(channel, F_SETFD, FD_CLOEXEC);
  if (order.with_site) clear_no_site_flag();
  auto prepared = prepare(order);
  ImageGreeting greeting = prepared ? *prepared : ImageGreeting{};
  auto usable = prepared ? Result<void>{} : Result<void>{prepared.error()};
  if (usable && greeting.reason == word(Reason::served)) usable = set_up(order);
  if (!usable) {
    greeting.reason = word(usable.error().reason);
    greeting.detail = usable.error().message;
  }
  greeting.build_id = build_id();
  greeting.pid = static_cast<std::uint64_t>(::getpid());
  const std::string message = encode_image_greeting(greeting);
  if (greeting.reason == word(Reason::served) && message.size() <= kMaxChannelMessage)
    be_child(serve(ImageKind::bare, channel, message, practise_run));
  (void)!::write(channel, message.data(), message.size());
  ::_exit(1);
}

FILE* open_or_serve(const char* path, const char* mode) {
  if (!order().script.empty() && order().script == path) be_image();
  return libc_fopen()(path, mode);
}

}  // namespace
}  // namespace kiln::image

// Both names, whatever large-file macros make of them here.
extern "C" {
__attribute__((visibility("default"))) FILE* kiln_fopen(const char* path, const char* mode) __asm__("fopen");
__attribute__((visibility("default"))) FILE* kiln_fopen64(const char* path,
                                                          const char* mode) __asm__("fopen64");

FILE* kiln_fopen(const char* path, const char* mode) {
  return kiln::image::open_or_serve(path, mode);
}
FILE* kiln_fopen64(const char* path, const char* mode) {
  return kiln::image::open_or_serve(path, mode);
}
}
