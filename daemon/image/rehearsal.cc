#include "daemon/image/rehearsal.h"

#include <Python.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <string_view>

#include "common/fd_passing.h"
#include "daemon/image/bytecode_hook.h"
#include "daemon/image/child.h"
#include "daemon/image/fence.h"
#include "daemon/image/finalizers.h"
#include "daemon/image/frame_end.h"
#include "daemon/image/held_mutexes.h"
#include "daemon/image/input_log.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/known_step.h"
#include "daemon/image/look.h"
#include "daemon/image/native_stack.h"
#include "daemon/image/new_objects.h"
#include "daemon/image/priority.h"
#include "daemon/image/program.h"
#include "daemon/image/python_aside.h"
#include "daemon/image/python_stack.h"
#include "daemon/image/recorders.h"
#include "daemon/image/seed.h"
#include "daemon/image/server.h"
#include "daemon/image/stand_in_streams.h"
#include "daemon/image/streams.h"
#include "daemon/image/system_calls.h"
#include "daemon/image/takeover.h"
#include "daemon/image/thread_pool.h"

namespace kiln::image {
namespace {

using Kind = ProgramInput::Kind;

constexpr timeval kCpuLimit{20, 0};
constexpr timeval kTimeLimit{60, 0};
constexpr long kThreadThatIsNone = 1;  // its id, which nobody keeps
constexpr int kOwnDescriptors = 400;   // how far above the run's own Kiln's are: a program may open so many

// The dynamic linker holds a lock while it runs what a library does at first.
constexpr std::size_t kAllFrames = 100'000;
constexpr std::size_t kNativeFrames = 12;  // from our handler to whoever asked for the time

bool is_frozen_importlib(const PythonFrame& frame) {
  return frame.module == "_frozen_importlib_external" || frame.module == "importlib._bootstrap_external";
}

// Functions of the standard library that ask what a path is, not when it changed.
constexpr std::array<std::string_view, 14> kAskForType{
    "exists",   "lexists",       "isfile",  "isdir",    "islink",     "is_file",     "is_dir",
    "realpath", "_joinrealpath", "resolve", "absolute", "is_symlink", "_path_isdir", "_path_isfile"};
// And which file it is.
constexpr std::array<std::string_view, 4> kAskForIdentity{"samefile", "ismount", "is_mount", "find_spec"};
// And those by which they ask.
constexpr std::array<std::string_view, 3> kAsk{"_path_stat", "_path_is_mode_type", "stat"};

bool is_of_library(const PythonFrame& frame) {
  return is_frozen_importlib(frame) || frame.module == "pathlib" || frame.module.starts_with("pathlib.") ||
         frame.module == "genericpath" || frame.module == "posixpath" || frame.module == "os.path";
}

constexpr std::size_t kAskingFrames = 4;

enum class Asks { type, identity, content };

// What counts of a path that the standard library looks at here: often not when it changed. Directories
// change with each file that is created in them, and files may be replaced by others.
Asks asks_for(const std::vector<PythonFrame>& stack, bool is_directory) {
  if (is_directory && !stack.empty() && (is_frozen_importlib(stack[0]) || stack[0].module == "zipimport"))
    return Asks::type;
  const auto who = std::ranges::find_if_not(stack, [](const PythonFrame& frame) {
    return is_of_library(frame) && std::ranges::find(kAsk, frame.function) != kAsk.end();
  });
  if (who == stack.end() || !is_of_library(*who)) return Asks::content;
  if (std::ranges::find(kAskForType, who->function) != kAskForType.end()) return Asks::type;
  if (std::ranges::find(kAskForIdentity, who->function) != kAskForIdentity.end()) return Asks::identity;
  return Asks::content;
}

// Of what an import could mean (common/rehearsal.cc).
constexpr std::array<std::string_view, 3> kUsualSuffixes{".py", ".pyc", ".so"};

constexpr int kLooked = 2'048;  // descriptors beyond those that are looked for
constexpr std::string_view kEntersProject = "looks into its own project";

// What is installed below a project, in a virtual environment of its own, is none of it.
bool is_installed(std::string_view path) {
  return path.find("/site-packages/") != std::string_view::npos ||
         path.find("/dist-packages/") != std::string_view::npos ||
         path.find("/lib/python") != std::string_view::npos;
}

// What is imported from bytecode is an input only where its source is none (PEP 552, unchecked): else it says
// what the source says. Who reads it as data is another matter.
bool is_imported_from_source(const std::string& path, int fd) {
  if (!path.ends_with(".pyc") || path.find("/__pycache__/") == std::string::npos) return false;
  {
    const PythonAside aside;
    const auto stack = python_stack(1);
    if (stack.empty() || !is_frozen_importlib(stack[0])) return false;
  }
  std::array<unsigned char, 8> header{};
  constexpr unsigned kHash = 1;
  constexpr unsigned kChecked = 2;
  if (::pread(fd, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size())) return true;
  return (header[4] & (kHash | kChecked)) != kHash;
}

// C functions that read the clock, and keep nothing of it that differs between runs: those by which locks are
// taken, which compute a deadline, with those behind methods, into which the compiler may have put the
// others, as it does with those of buffers, which have a lock each; and tzset, which looks for the zone's
// offsets of this year.
std::vector<const void*> timeless_functions() {
  std::vector<const void*> functions;
  const PythonRef thread{PyImport_ImportModule("_thread")};
  const PythonRef imports{PyImport_ImportModule("_imp")};
  const PythonRef lock{thread ? PyObject_CallMethod(thread.get(), "allocate_lock", nullptr) : nullptr};
  const PythonRef recursive_lock{thread ? PyObject_CallMethod(thread.get(), "RLock", nullptr) : nullptr};
  const auto add = [&](const PythonRef& object, const char* name) {
    const PythonRef method{object ? PyObject_GetAttrString(object.get(), name) : nullptr};
    if (method && PyCFunction_Check(method.get()) != 0)
      functions.push_back(reinterpret_cast<const void*>(PyCFunction_GetFunction(method.get())));
  };
  for (const char* name : {"acquire", "__enter__"}) {
    add(lock, name);
    add(recursive_lock, name);
  }
  const PythonRef io{PyImport_ImportModule("_io")};
  const PythonRef raw{io ? PyObject_CallMethod(io.get(), "BytesIO", nullptr) : nullptr};
  const PythonRef buffer{raw ? PyObject_CallMethod(io.get(), "BufferedRandom", "O", raw.get()) : nullptr};
  for (const char* name : {"flush", "write", "read", "read1", "readinto", "readinto1", "readline", "peek",
                           "seek", "tell", "truncate", "close"})
    add(buffer, name);
  const void* next = buffer ? PyType_GetSlot(Py_TYPE(buffer.get()), Py_tp_iternext) : nullptr;
  if (next != nullptr) functions.push_back(next);  // before 3.10 there is none of a type that is static
  add(imports, "acquire_lock");
  add(PythonRef{PyImport_ImportModule("time")}, "tzset");
  for (const char* name : {"PyThread_acquire_lock", "PyThread_acquire_lock_timed"}) {
    const void* function = ::dlsym(RTLD_DEFAULT, name);
    if (function != nullptr) functions.push_back(function);
  }
  PyErr_Clear();
  return functions;
}

// What ps(1) shows of an image must not be taken for the program.
Launch as_image(Launch launch) {
  launch.name = "kiln-image";
  launch.command_line = {launch.name};
  return launch;
}

std::uint64_t cpu_us() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int most_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int>(std::min<rlim_t>(kOwnDescriptors, limit.rlim_cur / 2));
}

// Of this process's own, the heap and what else only it can write to. Without malloc, which may be who asks
// for more.
std::uint64_t data_bytes() {
  const UniqueFd file{::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
  std::array<char, 128> text{};
  if (::read(file.get(), text.data(), text.size() - 1) <= 0) return 0;
  constexpr int kData = 6;
  char* at = text.data();
  std::uint64_t pages = 0;
  for (int field = 0; field < kData; ++field) pages = std::strtoull(at, &at, 10);
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// A program that goes on for long without coming to a step is given up.
void limit_time(bool on) {
  const itimerval cpu{{}, on ? kCpuLimit : timeval{}};
  const itimerval wall{{}, on ? kTimeLimit : timeval{}};
  ::setitimer(ITIMER_PROF, &cpu, nullptr);
  ::setitimer(ITIMER_REAL, &wall, nullptr);
}

// The innermost line of code that has a file: who takes the step. Then, if that is a library, the innermost
// line of the program's own that it takes it for.
std::vector<std::string> places_of(const std::vector<PythonFrame>& stack) {
  std::vector<std::string> places;
  for (const PythonFrame& frame : stack) {
    const bool is_library = frame.file.find("/lib/python") != std::string::npos;
    if (frame.file.starts_with('<') || (is_library && !places.empty())) continue;
    places.push_back(frame.file + ":" + std::to_string(frame.line));
    if (!is_library) break;
  }
  return places;
}

class Rehearsal : public FenceKeeper {
 public:
  Rehearsal(RehearsalOrder order, std::vector<UniqueFd> channels, UniqueFd seed, RunNotes notes)
      : order_(std::move(order)),
        channels_(std::move(channels)),
        seed_(std::move(seed)),
        notes_(std::move(notes)) {}

  // Everything up to the program's first instruction.
  Result<Program> prepare() {
    if (::chdir(order_.cwd.c_str()) != 0)
      return errno_error("cannot enter " + order_.cwd, Reason::image_failed);
    terminal_ = TRY(place_stand_ins());
    if (terminal_) TRY_VOID(move_up(terminal_));
    std::vector<int> kept = order_.launch.descriptors;
    for (const UniqueFd& channel : channels_) kept.push_back(channel.get());
    kept.push_back(seed_.get());
    if (terminal_) kept.push_back(terminal_.get());
    close_all_but(std::move(kept));
    ::umask(order_.launch.umask);
    TRY_VOID(take_over_process_state(order_.launch));
    TRY_VOID(take_over_environment(as_image(order_.launch)));
    TRY_VOID(make_standard_streams());
    const std::string script = order_.launch.kind == TargetKind::file ? order_.launch.target : std::string();
    if (!script.empty()) inputs_.add(Kind::content, AT_FDCWD, script);
    if (!script.empty()) inputs_.add(Kind::link_content, AT_FDCWD, script);
    Program program = TRY(Program::prepare(order_.launch));
    take_over_dispositions(order_.launch);
    entry_ = program.entry();
    project_ = script.empty() ? order_.cwd + "/" : absolute(script.substr(0, script.rfind('/') + 1));
    timeless_ = timeless_functions();
    note_mutexes();
    trust_modules(order_.trusted);
    // Each fork of the bare image has seeded it (os.register_at_fork), and so must each run.
    const KnownStep* seeded = seeded_at_start();
    if (seeded != nullptr && !make_up_later(*seeded))
      return Error{Reason::image_failed, "a generator of random numbers cannot be watched", {}};
    serve_bytecode(std::move(notes_), entry_, {});
    mark_object_list();
    return program;
  }

  [[noreturn]] void run(Program& program) {
    tell_that_it_goes_on();
    data_at_start_ = data_bytes();
    release_signals(order_.launch.blocked_signals);
    limit_time(true);
    lower_priority();
    if (!recorders_.install() || !raise_fence(*this)) ::_exit(1);
    const Program::Outcome outcome = program.run();
    stop_at_fence("ends");
    leave_as_child(outcome);
  }

  // Kiln's own descriptors are not there.
  std::optional<long> answer(const SystemCall& call) override {
    const int fd = descriptor_of(call);
    if (fd >= 0 && is_own(fd)) return -EBADF;
    return starts_thread(call) && is_known(Effect::thread) ? std::optional<long>(as_if_started(call))
                                                           : std::nullopt;
  }

  std::string objection(const SystemCall& call) override {
    if (takes_too_much(call)) ::_exit(1);
    switch (kind_of(call)) {
      case CallKind::looks:
        if (asks_what_always_changes(looked_at(call))) return std::string("looks at ") + looked_at(call).path;
        return enters_project(looked_at(call)) ? std::string(kEntersProject) : std::string();
      case CallKind::harmless:
      case CallKind::lists:
      case CallKind::asks_cwd:
        return {};
      case CallKind::random:
        return is_known(Effect::random) ? std::string() : wording_of(call);
      case CallKind::thread_id:
        return is_known(Effect::thread_id) ? std::string() : wording_of(call);
      case CallKind::process_id:
        return is_known(Effect::process_id) ? std::string() : wording_of(call);
      case CallKind::descriptor:
        return is_known(Effect::descriptor) ? std::string() : wording_of(call);
      case CallKind::clock:
        return may_read_clock() ? std::string() : wording_of(call);
      case CallKind::looks_at_stream:
        return is_known_library() ? std::string() : wording_of(call);
      case CallKind::effect:
        return is_writing_bytecode(call) ? std::string() : wording_of(call);
    }
    return wording_of(call);
  }

  void note(const SystemCall& call, long result) override {
    switch (kind_of(call)) {
      case CallKind::looks:
        return note_look(looked_at(call), result);
      case CallKind::lists:
        return note_names(static_cast<int>(call.arguments[0]));
      case CallKind::asks_cwd:
        return inputs_.note_cwd();
      default:
        return asks_of_open_file(call) ? note_fstat(static_cast<int>(call.arguments[0])) : void();
    }
  }

  bool may_read_clock() override { return is_within(timeless_, kNativeFrames) || is_known(Effect::clock); }

  // A fork stays behind as an image for runs with other arguments; this process goes on.
  std::uint64_t look_at_arguments(std::uint64_t blocked) override {
    if (const auto gone_on = leave_image("looks at its arguments")) return *gone_on;
    inputs_read_arguments_ = true;
    const PythonAside aside;
    free_arguments();
    keep_arguments();
    return blocked;
  }

  bool may_leave() override {
    const PythonAside aside;
    const KnownStep* known = find_known_step(Effect::any, python_stack(kKnownStepFrames));
    return known != nullptr && at_end_of(known->module, known->function, close_fence);
  }

  std::uint64_t stop(const std::string& step, std::uint64_t blocked) override {
    if (step != kEntersProject) return serve_from_here(step, 0);
    has_entered_project_ = true;
    if (leave_seed()) return blocked;
    const auto gone_on = leave_image(step);
    return gone_on ? *gone_on : blocked;
  }

 private:
  // Beyond what the program can have.
  int floor() const { return std::ranges::max(order_.launch.descriptors) + most_open_; }

  // Descriptors of the same kinds as the run's, under the same numbers.
  Result<UniqueFd> place_stand_ins() {
    if (order_.launch.descriptors.size() < 3) return Error{Reason::image_failed, "no standard streams", {}};
    for (UniqueFd& channel : channels_) TRY_VOID(move_up(channel));
    TRY_VOID(move_up(seed_));
    UniqueFd terminal = TRY(place_stand_in_streams(order_.streams));
    for (const int fd : order_.launch.descriptors) {
      if (fd > STDERR_FILENO && ::dup2(STDIN_FILENO, fd) < 0)
        return errno_error("cannot place a descriptor", Reason::image_failed);
    }
    set_stand_ins(order_.launch.descriptors);
    return terminal;
  }

  Result<void> move_up(UniqueFd& fd) const {
    const int moved = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, floor());
    if (moved < 0) return errno_error("cannot move a descriptor", Reason::image_failed);
    fd.reset(moved);
    return {};
  }

  bool is_known(Effect effect) {
    const PythonAside aside;
    const KnownStep* known = find_known_step(effect, python_stack(kKnownStepFrames));
    return known != nullptr && make_up_later(*known);
  }

  bool make_up_later(const KnownStep& step) {
    if (step.seeds != nullptr && !watch_generator(*step.seeds)) return false;
    if (step.starts != nullptr && !postpone_threads(*step.starts)) return false;
    if (!step.holds_own.empty() && !tell_of_own(step)) return false;
    if (!step.replaces.empty()) replaced_.push_back(step.replaces);
    const std::string reset(step.reset);
    if (!reset.empty() && std::ranges::find(stopped_.resets, reset) == stopped_.resets.end())
      stopped_.resets.push_back(reset);
    return true;
  }

  bool tell_of_own(const KnownStep& step) {
    return at_end_of(step.within, step.within_function, [this, &step] {
      const OpenFence open;
      const PythonAside aside;
      if (!recorders_.tell_of(value_of(std::string(step.holds_own)).get())) ::_exit(1);
    });
  }

  // What is blocked meanwhile is given back: it is as if it had been.
  long as_if_started(const SystemCall& call) const {
    if (call.number != SYS_rt_sigprocmask) return kThreadThatIsNone;
    auto* former = reinterpret_cast<std::uint64_t*>(call.arguments[2]);
    if (former != nullptr) *former = order_.launch.blocked_signals;
    return 0;
  }

  // By importlib, in its own functions and for its own file.
  bool is_writing_bytecode(const SystemCall& call) const {
    if (!order_.writes_bytecode || !makes_file(call)) return false;
    const PythonAside aside;
    const auto stack = python_stack(1);
    return !stack.empty() && is_frozen_importlib(stack[0]) &&
           (stack[0].function == "_write_atomic" || stack[0].function == "set_data");
  }

  // The Fortran runtime prepares its standard units while it is loaded; nobody uses them before a step is
  // taken.
  static bool is_known_library() { return is_within_library("libgfortran.", kNativeFrames); }

  void note_look(const LookedAt& look, long result) {
    if (look.path == nullptr) return;
    const std::string path = look.path;
    // Which are the same for all runs.
    if (path == "/dev/null" || path == "/dev/urandom" || path == "/dev/random" ||
        path.starts_with("/sys/devices/system/cpu/"))
      return;
    if (!installed_overlay().empty() && path.starts_with(installed_overlay())) return;
    if (look.opens) return note_open(look, result);
    if (look.reads_link) return inputs_.add(Kind::link_content, look.dirfd, path);
    struct stat status {};
    const bool is_directory =
        ::fstatat(look.dirfd, look.path, &status, look.follows ? 0 : AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(status.st_mode);
    const Asks asks = what_is_asked(is_directory);
    if (asks == Asks::type) return inputs_.add(look.follows ? Kind::type : Kind::link_type, look.dirfd, path);
    if (asks == Asks::identity)
      return inputs_.add(look.follows ? Kind::identity : Kind::link_identity, look.dirfd, path);
    inputs_.add(look.follows ? Kind::content : Kind::link_content, look.dirfd, path);
  }

  static Asks what_is_asked(bool is_directory) {
    const PythonAside aside;
    return asks_for(python_stack(kAskingFrames), is_directory);
  }

  // When something below /proc changed: just now.
  bool asks_what_always_changes(const LookedAt& look) const {
    if (look.opens || look.reads_link || look.path == nullptr) return false;
    return absolute(look.path).starts_with("/proc/") && what_is_asked(true) == Asks::content;
  }

  // The first look at what a file of the program's own project says, be it code or data: it is what changes
  // most often.
  bool enters_project(const LookedAt& look) const {
    if (has_entered_project_ || channels_.size() < 2 || look.path == nullptr || *look.path == '\0')
      return false;
    const std::string path =
        look.path[0] != '/' && look.dirfd != AT_FDCWD ? std::string() : absolute(look.path);
    if (!path.starts_with(project_) || is_installed(path)) return false;
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
    return look.opens || what_is_asked(false) == Asks::content;
  }

  std::string absolute(const std::string& path) const {
    return path.starts_with('/') ? path : order_.cwd + "/" + path;
  }

  void note_open(const LookedAt& look, long result) {
    const std::string path = look.path;
    if (result < 0) return inputs_.add(Kind::content, look.dirfd, path);
    const int fd = static_cast<int>(result);
    struct stat status {};
    ::fstat(fd, &status);
    if (S_ISDIR(status.st_mode)) return inputs_.add(Kind::identity, look.dirfd, path);
    if (!is_imported_from_source(path, fd)) inputs_.add(Kind::content, look.dirfd, path);
  }

  // Of a file its opening has noted all there is to know; of a directory, that it is that one. Whoever lists
  // one has the C library ask whether it is one.
  void note_fstat(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !S_ISDIR(status.st_mode)) return;
    const PythonAside aside;
    const auto stack = python_stack(1);
    if (stack.empty() || !is_frozen_importlib(stack[0])) inputs_.add(Kind::content, fd, ".");
  }

  // The finder that lists a directory, which may have been given suffixes of other languages.
  static bool looks_for_usual_suffixes() {
    const PythonRef loaders = own_attribute(self_of("_fill_cache").get(), "_loaders");
    if (!loaders || PyList_Check(loaders.get()) == 0) return false;
    for (Py_ssize_t i = 0; i < PyList_Size(loaders.get()); ++i) {
      PyObject* pair = PyList_GetItem(loaders.get(), i);
      const std::string suffix = PyTuple_Check(pair) != 0 ? text_of(PyTuple_GetItem(pair, 0)) : std::string();
      const auto is_end = [&](std::string_view usual) { return suffix.ends_with(usual); };
      if (std::ranges::none_of(kUsualSuffixes, is_end)) return false;
    }
    return true;
  }

  void note_names(int fd) {
    bool importable = false;
    {
      const PythonAside aside;
      const auto stack = python_stack(1);
      importable = !stack.empty() && is_frozen_importlib(stack[0]) && looks_for_usual_suffixes();
    }
    inputs_.add_names(fd, importable);
  }

  // A fork stays behind as an image. Returns in its children, with the signals that they are to block; and,
  // with nothing, in this process, which goes on behind the fence.
  std::optional<std::uint64_t> leave_image(std::string_view step) {
    const std::uint64_t spent_us = cpu_us();
    const pid_t deeper = ::fork();
    if (deeper != 0) return serve_from_here(std::string(step), deeper);
    channels_.erase(channels_.begin());
    seed_process_ = 0;
    go_on(spent_us);
    return std::nullopt;
  }

  // A fork stays behind for rehearsals to come. Returns with true in those, which go on behind the fence.
  bool leave_seed() {
    const std::uint64_t spent_us = cpu_us();
    seed_process_ = ::fork();
    if (seed_process_ != 0) {
      seed_.reset();
      return false;
    }
    channels_.clear();
    channels_ = fork_on_order(seed_);
    seed_.reset();
    for (UniqueFd& channel : channels_) {
      if (!move_up(channel)) ::_exit(1);
    }
    go_on(spent_us);
    return true;
  }

  // In a fork. SPENT_US: by the process that it is of.
  void go_on(std::uint64_t spent_us) {
    tell_that_it_goes_on();
    spent_us_ += spent_us;
    limit_time(true);
    renew_fence();
  }

  // This process becomes an image; OTHER_CHILD goes on from here, if there is one. Returns in its children.
  std::uint64_t serve_from_here(const std::string& step, pid_t other_child) {
    lower_fence();
    limit_time(false);
    restore_priority();
    const UniqueFd message = prepare_to_serve(step, other_child <= 0);
    const UniqueFd channel = std::move(channels_[0]);
    channels_.clear();
    seed_.reset();
    stopped_.descriptors = program_descriptors();
    if (::chdir("/") != 0) ::_exit(1);
    const std::array fds{message.get()};
    const auto practise = [this](const ImageSockets& sockets, pid_t image,
                                 const std::function<void()>& at_end) {
      practise_going_on(sockets, image, stopped_, as_image(order_.launch), at_end);
    };
    std::vector<pid_t> others{other_child, seed_process_};
    std::erase_if(others, [](pid_t pid) { return pid <= 0; });
    Spare spare =
        serve(ImageKind::program, channel.get(), std::string(1, kStopped), practise, fds, std::move(others));
    return go_on_as_child(std::move(spare), stopped_);
  }

  // What is reported, for the daemon. It is gone when this returns: a child that let go of its thousands of
  // paths would touch hundreds of pages for that.
  UniqueFd prepare_to_serve(const std::string& step, bool is_last) {
    RehearsalReport report;
    {
      const PythonAside aside;
      if (is_listened_to() || is_kept_elsewhere(replaced_) || !are_generators_there()) ::_exit(1);
      // Each run from here will compile a source, and be warned: this is good until there is bytecode.
      const std::string bytecode = bytecode_in_the_making();
      if (!bytecode.empty()) inputs_.add(Kind::content, AT_FDCWD, bytecode);
      report = describe(step);
      report.is_last = is_last;
      recorders_.remove();
      report.finalized = note_own_finalizers();
      (void)note_collector_state();
      note_environment_changes_since(order_.launch.environment);
    }
    // It would wait until a moment that it has computed already: that is over for who goes on later.
    if (step == kWaits) ::_exit(1);
    if (!is_fit() || !may_hand_on_mutexes() || is_within_library("ld-linux", kAllFrames)) ::_exit(1);
    ImageSignals::install();
    return pack(encode_rehearsal_report(report));
  }

  RehearsalReport describe(const std::string& step) {
    RehearsalReport report;
    report.pid = static_cast<std::uint64_t>(::getpid());
    report.entry = entry_;
    report.step = step;
    report.places = places_of(python_stack(100));
    report.has_read_arguments = inputs_read_arguments_;
    report.has_read_cwd = inputs_.has_read_cwd() || order_.launch.kind != TargetKind::file;
    report.needs_whole_environment = recorders_.has_read_environment() || inputs_.has_foreign_library();
    report.variables.assign(recorders_.variables().begin(), recorders_.variables().end());
    report.has_seed = seed_process_ > 0;
    report.modules = static_cast<std::uint64_t>(PyDict_Size(PyImport_GetModuleDict()));
    report.cpu_us = spent_us_ + cpu_us();
    report.inputs = inputs_.inputs();
    return report;
  }

  // Of one thread, and with no descriptors but files open for reading.
  bool is_fit() const {
    struct stat status {};
    if (::stat("/proc/self/task", &status) != 0 || status.st_nlink != 3) return false;
    if (has_descriptors_beyond() || shares_open_files()) return false;
    return std::ranges::all_of(program_descriptors(), [](int fd) {
      struct stat file {};
      return ::fstat(fd, &file) == 0 &&
             (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode) || S_ISCHR(file.st_mode));
    });
  }

  bool is_own(int fd) const {
    return fd == terminal_.get() || fd == seed_.get() ||
           std::ranges::any_of(channels_, [&](const UniqueFd& channel) { return channel.get() == fd; });
  }

  // By a pidfd, for the daemon may have to end this process.
  void tell_that_it_goes_on() const {
    const UniqueFd self{static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))};
    const std::array fds{self.get()};
    for (const UniqueFd& channel : channels_) {
      if (!self || !send_with_fds(channel.get(), std::string(1, kGoesOn), fds)) ::_exit(1);
    }
  }

  // What was asked for is summed up, and looked at when it may be too much: most of it was given back again.
  // Nothing here may allocate.
  bool takes_too_much(const SystemCall& call) {
    const std::uint64_t more = memory_asked_for(call);
    asked_for_ += more;
    if (more == 0 || asked_for_ <= order_.memory) return false;
    const std::uint64_t now = data_bytes();
    asked_for_ = now - std::min(now, data_at_start_) + more;
    return asked_for_ > order_.memory;
  }

  // Where only ours are looked for.
  bool has_descriptors_beyond() const {
    for (int fd = floor(); fd < floor() + kLooked; ++fd) {
      if (::fcntl(fd, F_GETFD) >= 0 && !is_own(fd)) return true;
    }
    return false;
  }

  // Copies of one descriptor share a position, which children that open each anew would not.
  bool shares_open_files() const {
    std::map<std::pair<dev_t, ino_t>, std::vector<int>> opened;
    for (const int fd : program_descriptors()) {
      struct stat file {};
      if (::fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) continue;
      std::vector<int>& same_file = opened[{file.st_dev, file.st_ino}];
      if (std::ranges::any_of(same_file, [&](int other) { return may_be_copy(fd, other); })) return true;
      same_file.push_back(fd);
    }
    return false;
  }

  static bool may_be_copy(int fd, int other) {
    const pid_t self = ::getpid();
    const long order = ::syscall(SYS_kcmp, self, self, KCMP_FILE, fd, other);
    return order <= 0;  // the same, or it cannot be told
  }

  std::vector<int> program_descriptors() const {
    std::vector<int> open;
    for (int fd = STDERR_FILENO + 1; fd < floor(); ++fd) {
      const bool is_stand_in =
          std::ranges::find(order_.launch.descriptors, fd) != order_.launch.descriptors.end();
      if (!is_stand_in && ::fcntl(fd, F_GETFD) >= 0) open.push_back(fd);
    }
    return open;
  }

  UniqueFd pack(const std::string& message) {
    UniqueFd fd{::memfd_create("kiln-report", MFD_CLOEXEC)};
    UniqueFd high{::fcntl(fd.get(), F_DUPFD_CLOEXEC, floor())};
    std::size_t at = 0;
    while (at < message.size()) {
      const ssize_t written = ::write(high.get(), message.data() + at, message.size() - at);
      if (written <= 0) ::_exit(1);
      at += static_cast<std::size_t>(written);
    }
    return high;
  }

  RehearsalOrder order_;
  std::vector<UniqueFd> channels_;
  UniqueFd seed_;           // the socket of the seed that is to be left
  pid_t seed_process_ = 0;  // that was left by this process
  int most_open_ = most_descriptors();
  RunNotes notes_;
  UniqueFd terminal_;
  std::string entry_;
  InputLog inputs_;
  Recorders recorders_;
  Stopped stopped_;
  std::vector<std::string_view> replaced_;  // objects that a run has others of
  std::vector<const void*> timeless_;       // native functions
  std::string project_;                     // where its own code is; with / at its end
  std::uint64_t spent_us_ = 0;              // by the processes that it was forked from
  std::uint64_t data_at_start_ = 0;         // bytes
  std::uint64_t asked_for_ = 0;             // since then, as far as it was not given back
  bool inputs_read_arguments_ = false;
  bool has_entered_project_ = false;
};

std::string read_order(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || status.st_size > static_cast<off_t>(kMaxRehearsalMessage)) return {};
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  return ::pread(fd, text.data(), text.size(), 0) == status.st_size ? text : std::string();
}

}  // namespace

void rehearse(std::vector<UniqueFd> fds, RunNotes notes) {
  auto order = decode_rehearsal_order(read_order(fds[0].get()));
  fds.erase(fds.begin());
  if (!order || fds.size() != kRehearsalSockets) ::_exit(1);
  UniqueFd seed = std::move(fds.back());
  fds.pop_back();
  // Never destroyed: the program's exit must not find it gone.
  auto* rehearsal = new Rehearsal(std::move(*order), std::move(fds), std::move(seed), std::move(notes));
  auto program = rehearsal->prepare();
  if (!program) ::_exit(1);
  rehearsal->run(*program);
}

}  // namespace kiln::image
