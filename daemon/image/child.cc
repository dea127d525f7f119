#include "daemon/image/child.h"

#include <Python.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/fd_passing.h"
#include "common/image_channel.h"
#include "common/launch.h"
#include "daemon/image/bytecode_hook.h"
#include "daemon/image/held_mutexes.h"
#include "daemon/image/known_step.h"
#include "daemon/image/leave.h"
#include "daemon/image/look.h"
#include "daemon/image/new_objects.h"
#include "daemon/image/practice.h"
#include "daemon/image/program.h"
#include "daemon/image/python_aside.h"
#include "daemon/image/python_ref.h"
#include "daemon/image/recorders.h"
#include "daemon/image/rehearsal.h"
#include "daemon/image/streams.h"
#include "daemon/image/takeover.h"
#include "daemon/image/thread_pool.h"

namespace kiln::image {
namespace {

constexpr timeval kClientLimit{20, 0};
constexpr timeval kNoLimit{0, 0};

class Child {
 public:
  // What can be done before there is a run.
  void get_ready(const ImageSockets& sockets, pid_t image, std::vector<int> own_descriptors) {
    // The image holds other runs' connections; a copy of one would hide its end from its client.
    own_descriptors_ = std::move(own_descriptors);
    std::vector<int> wanted = own_descriptors_;
    wanted.insert(wanted.end(), {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, sockets.channel, sockets.taken});
    close_all_but(std::move(wanted));
    for (const int fd : own_descriptors_) reopen(fd);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != image) ::_exit(0);
    ::setpgid(0, 0);
    ImageSignals::restore();
    renew_main_thread();
    pidfd_().reset(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    make_status_page();
  }

  // Waits for a run. The image learns of it before anything else happens. Instead of a run there may come an
  // order to rehearse one: the descriptors that it came with.
  std::vector<UniqueFd> take(const ImageSockets& sockets) {
    auto received = receive_with_fds(sockets.channel, 1);
    if (!received || received->fds.empty()) ::_exit(0);  // the daemon is gone
    const pid_t pid = ::getpid();
    const std::string_view message(reinterpret_cast<const char*>(&pid), sizeof pid);
    if (received->bytes[0] == kRehearse) {
      if (!send_with_fds(sockets.taken, message, {})) ::_exit(0);
      ::prctl(PR_SET_PDEATHSIG, 0);
      return std::move(received->fds);
    }
    connection_() = std::move(received->fds[0]);
    const std::array fds{connection_().get()};
    if (!send_with_fds(sockets.taken, message, fds)) ::_exit(0);
    if (!send_with_fds(connection_().get(), encode_frame(FrameType::taken, {}), {})) ::_exit(0);
    // A client that says nothing more must not hold a child for ever.
    ::setsockopt(connection_().get(), SOL_SOCKET, SO_RCVTIMEO, &kClientLimit, sizeof kClientLimit);
    ::prctl(PR_SET_PDEATHSIG, 0);  // from here on the image's death is none of the program's business
    return {};
  }

  // What it was sent before it had a run was for nobody.
  static void forget_pending_signals() {
    sigset_t all;
    sigfillset(&all);
    const timespec none{};
    while (::sigtimedwait(&all, nullptr, &none) > 0 || errno == EINTR) {
    }
  }

  // Everything before "go": a failure is told to the client, which then runs the interpreter itself.
  Result<Program> prepare() {
    const Launch launch = TRY(receive_launch());
    TRY_VOID(refuse_directory_as_input());
    Program program = TRY(prepare(launch));
    TRY_VOID(join_process_group(launch.process_group));
    return program;
  }

  static Result<Program> prepare(const Launch& launch) {
    ::umask(launch.umask);
    TRY_VOID(take_over_environment(launch));
    TRY_VOID(make_standard_streams());
    Program program = TRY(Program::prepare(launch));
    take_over_dispositions(launch);
    return program;
  }

  // The same for a program that has come a part of its way. What is not here is as it would be: the daemon
  // has seen to it that the launch is like the one that the program was started with.
  Result<void> resume(const Stopped& stopped) {
    is_ahead_ = true;
    const Launch launch = TRY(receive_launch());
    TRY_VOID(resume(stopped, launch));
    return join_process_group(launch.process_group);
  }

  static Result<void> resume(const Stopped& stopped, const Launch& launch) {
    TRY_VOID(take_over_environment(launch));
    TRY_VOID(renew_arguments(launch));
    renew_positions();
    return make_up_for(stopped.resets);
  }

  // Python would end with a message of its own.
  static Result<void> refuse_directory_as_input() {
    struct stat status {};
    if (::fstat(STDIN_FILENO, &status) == 0 && S_ISDIR(status.st_mode)) return Error{Reason::streams, {}, {}};
    return {};
  }

  void refuse(const Error& error) {
    (void)send_with_fds(connection_().get(), encode_frame(FrameType::refused, encode_refused(error)), {});
    ::_exit(0);
  }

  // The program's signals stay held back: BLOCKED_SIGNALS says what it shall have.
  void await_go(pid_t image) {
    // A client that was stopped may take any time; one that is gone closes the connection.
    ::setsockopt(connection_().get(), SOL_SOCKET, SO_RCVTIMEO, &kNoLimit, sizeof kNoLimit);
    const std::array fds{pidfd_().get(), page_fd_().get()};
    const std::string ready =
        encode_frame(FrameType::ready, encode_ready(Ready{::getpid(), image, is_ahead_}));
    if (!send_with_fds(connection_().get(), ready, fds)) ::_exit(0);
    const auto answer = receive_frame(connection_().get());
    if (!answer || answer->frame.type != FrameType::go) ::_exit(0);
    for (UniqueFd& fd : kept_) fd.reset();
    run_.pid = ::getpid();
    run_.image = image;
  }

  // This is going to be no run: nothing of ours is open any more.
  void forget() {
    for (UniqueFd& fd : kept_) fd.reset();
  }

  std::uint64_t blocked_signals() const { return blocked_signals_; }
  void share(RunNotes& notes) { run_.heir = notes.heir(); }
  const RunProcess& run() const { return run_; }

 private:
  Result<Launch> receive_launch() {
    ReceivedFrame received = TRY(receive_frame(connection_().get()));
    if (received.frame.type != FrameType::launch) return Error{Reason::protocol, "expected a launch", {}};
    Launch launch = TRY(decode_launch(received.frame.payload));
    TRY_VOID(take_over_descriptors(launch, std::move(received.fds), kept_, own_descriptors_));
    TRY_VOID(take_over_process_state(launch));
    blocked_signals_ = launch.blocked_signals;
    return launch;
  }

  // A file that the program has open has one position; each child needs one of its own.
  static void reopen(int fd) {
    const int mode = ::fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_NOATIME | O_DIRECTORY | O_PATH);
    const UniqueFd own{::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), mode | O_CLOEXEC)};
    const int flags = ::fcntl(fd, F_GETFD);
    if (own && (mode & O_PATH) != 0 && ::dup3(own.get(), fd, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) >= 0)
      return;
    const off_t position = ::lseek(fd, 0, SEEK_CUR);
    if (!own || ::lseek(own.get(), position, SEEK_SET) != position ||
        ::dup3(own.get(), fd, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) < 0)
      ::_exit(1);
  }

  // Where start-up code imported threading, its main thread has the image's id: forking does not renew that.
  static void renew_main_thread() {
    PyObject* threading = PyDict_GetItemString(PyImport_GetModuleDict(), "threading");
    if (threading == nullptr) return;
    const PythonRef thread{PyObject_CallMethod(threading, "main_thread", nullptr)};
    const PythonRef done{thread ? PyObject_CallMethod(thread.get(), "_set_native_id", nullptr) : nullptr};
    // Up to 3.12 its lock is among those that threading looks at in the end, but in a fork.
    const PythonRef locks = attribute(threading, "_shutdown_locks");
    const PythonRef lock = attribute(thread.get(), "_tstate_lock");
    if (locks && lock) PySet_Add(locks.get(), lock.get());
    PyErr_Clear();
  }

  void make_status_page() {
    page_fd_().reset(::memfd_create("kiln-status", MFD_CLOEXEC));
    if (::ftruncate(page_fd_().get(), sizeof(StatusPage)) != 0) ::_exit(0);
    void* mapped =
        ::mmap(nullptr, sizeof(StatusPage), PROT_READ | PROT_WRITE, MAP_SHARED, page_fd_().get(), 0);
    if (mapped == MAP_FAILED) ::_exit(0);
    run_.page = static_cast<StatusPage*>(mapped);
    // A fork of the program must not write into it.
    ::madvise(mapped, sizeof(StatusPage), MADV_DONTFORK);
  }

  UniqueFd& connection_() { return kept_[0]; }
  UniqueFd& pidfd_() { return kept_[1]; }
  UniqueFd& page_fd_() { return kept_[2]; }

  std::uint64_t blocked_signals_ = 0;  // of the program
  std::vector<int> own_descriptors_;   // that the program has open already
  bool is_ahead_ = false;
  std::array<UniqueFd, 3> kept_;  // ours until "go"; the program never sees them
  RunProcess run_;
};

// Of this process; in a fork of a program at its stop, of the one that it was forked from.
Child& child() {
  static auto* child = new Child;  // never destroyed: the program leaves through exit(3)
  return *child;
}

}  // namespace

void be_child(Spare spare) {
  Child& self = child();
  self.get_ready(spare.sockets, spare.image, {});
  auto order = self.take(spare.sockets);
  if (!order.empty()) {
    self.forget();
    rehearse(std::move(order), std::move(spare.notes));
  }
  auto program = self.prepare();
  if (!program) self.refuse(program.error());
  self.await_go(spare.image);
  release_signals(self.blocked_signals());
  spare.notes.keep_from_forks();
  self.share(spare.notes);
  serve_bytecode(std::move(spare.notes), program->entry(), program->uncached_source());
  mark_object_list();
  leave_as_child(program->run());
}

void practise_run(const ImageSockets& sockets, pid_t image, const std::function<void()>& at_end) {
  Child& self = child();
  self.get_ready(sockets, image, {});
  auto program = Child::prepare(practice_launch());
  if (!program) return;
  mark_object_list();
  program->run();
  practise_leaving(at_end);
}

void practise_going_on(const ImageSockets& sockets, pid_t image, const Stopped& stopped, const Launch& launch,
                       const std::function<void()>& at_end) {
  Child& self = child();
  self = Child();
  const PythonAside aside;
  self.get_ready(sockets, image, stopped.descriptors);
  take_over_mutexes();
  if (!Child::resume(stopped, launch)) return;
  mark_object_list();
  practise_leaving(at_end);
}

std::uint64_t go_on_as_child(Spare spare, const Stopped& stopped) {
  Child& self = child();
  self = Child();
  const PythonAside aside;
  if (!may_start_threads()) ::_exit(0);
  self.get_ready(spare.sockets, spare.image, stopped.descriptors);
  self.share(spare.notes);
  hand_on_bytecode(std::move(spare.notes));
  self.take(spare.sockets);
  Child::forget_pending_signals();
  take_over_mutexes();
  const auto resumed = self.resume(stopped);
  if (!resumed) self.refuse(resumed.error());
  self.await_go(spare.image);
  start_postponed_threads(self.blocked_signals());
  mark_object_list();
  return self.blocked_signals();
}

void leave_as_child(const Program::Outcome& outcome) {
  leave(outcome, child().run());
}

}  // namespace kiln::image
