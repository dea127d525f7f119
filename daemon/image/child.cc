#include "daemon/image/child.h"

#include <Python.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>

#include "common/fd_passing.h"
#include "common/launch.h"
#include "daemon/image/bytecode_hook.h"
#include "daemon/image/leave.h"
#include "daemon/image/new_objects.h"
#include "daemon/image/practice.h"
#include "daemon/image/program.h"
#include "daemon/image/python_ref.h"
#include "daemon/image/streams.h"
#include "daemon/image/takeover.h"

namespace kiln::image {
namespace {

constexpr timeval kClientLimit{20, 0};
constexpr timeval kNoLimit{0, 0};

class Child {
 public:
  // What can be done before there is a run.
  void get_ready(const ImageSockets& sockets, pid_t image) {
    // The image holds other runs' connections; a copy of one would hide its end from its client.
    close_all_but({STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, sockets.channel, sockets.taken});
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != image) ::_exit(0);
    ::setpgid(0, 0);
    ImageSignals::restore();
    renew_main_thread();
    pidfd_().reset(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    make_status_page();
    (void)practise();  // the image could: it is for speed alone here
  }

  // Waits for a run. The image learns of it before anything else happens.
  void take(const ImageSockets& sockets) {
    auto received = receive_with_fds(sockets.channel, 1);
    if (!received || received->fds.size() != 1) ::_exit(0);  // the daemon is gone
    connection_() = std::move(received->fds[0]);
    const pid_t pid = ::getpid();
    const std::string_view message(reinterpret_cast<const char*>(&pid), sizeof pid);
    const std::array fds{connection_().get()};
    if (!send_with_fds(sockets.taken, message, fds)) ::_exit(0);
    // A client that says nothing more must not hold a child for ever.
    ::setsockopt(connection_().get(), SOL_SOCKET, SO_RCVTIMEO, &kClientLimit, sizeof kClientLimit);
    ::prctl(PR_SET_PDEATHSIG, 0);  // from here on the image's death is none of the program's business
  }

  // Everything before "go": a failure is told to the client, which then runs the interpreter itself.
  Result<Program> prepare() {
    ReceivedFrame received = TRY(receive_frame(connection_().get()));
    if (received.frame.type != FrameType::launch) return Error{Reason::protocol, "expected a launch", {}};
    const Launch launch = TRY(decode_launch(received.frame.payload));
    TRY_VOID(take_over_descriptors(launch, std::move(received.fds), kept_));
    TRY_VOID(take_over_process_state(launch));
    TRY_VOID(refuse_directory_as_input());
    TRY_VOID(take_over_environment(launch));
    TRY_VOID(make_standard_streams());
    Program program = TRY(Program::prepare(launch));
    take_over_dispositions(launch);
    TRY_VOID(join_process_group(launch.process_group));
    blocked_signals_ = launch.blocked_signals;
    return program;
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

  void await_go(pid_t image) {
    // A client that was stopped may take any time; one that is gone closes the connection.
    ::setsockopt(connection_().get(), SOL_SOCKET, SO_RCVTIMEO, &kNoLimit, sizeof kNoLimit);
    const std::array fds{pidfd_().get(), page_fd_().get()};
    const std::string ready = encode_frame(FrameType::ready, encode_ready(Ready{::getpid(), image}));
    if (!send_with_fds(connection_().get(), ready, fds)) ::_exit(0);
    const auto answer = receive_frame(connection_().get());
    if (!answer || answer->frame.type != FrameType::go) ::_exit(0);
    for (UniqueFd& fd : kept_) fd.reset();
    release_signals(blocked_signals_);
  }

  StatusPage* page() { return page_; }

 private:
  // Where start-up code imported threading, its main thread has the image's id: forking does not renew that.
  static void renew_main_thread() {
    PyObject* threading = PyDict_GetItemString(PyImport_GetModuleDict(), "threading");
    if (threading == nullptr) return;
    const PythonRef thread{PyObject_CallMethod(threading, "main_thread", nullptr)};
    const PythonRef done{thread ? PyObject_CallMethod(thread.get(), "_set_native_id", nullptr) : nullptr};
    PyErr_Clear();
  }

  void make_status_page() {
    page_fd_().reset(::memfd_create("kiln-status", MFD_CLOEXEC));
    if (::ftruncate(page_fd_().get(), sizeof(StatusPage)) != 0) ::_exit(0);
    void* mapped =
        ::mmap(nullptr, sizeof(StatusPage), PROT_READ | PROT_WRITE, MAP_SHARED, page_fd_().get(), 0);
    if (mapped == MAP_FAILED) ::_exit(0);
    page_ = static_cast<StatusPage*>(mapped);
    // A fork of the program must not write into it.
    ::madvise(mapped, sizeof(StatusPage), MADV_DONTFORK);
  }

  UniqueFd& connection_() { return kept_[0]; }
  UniqueFd& pidfd_() { return kept_[1]; }
  UniqueFd& page_fd_() { return kept_[2]; }

  std::uint64_t blocked_signals_ = 0;  // of the program
  std::array<UniqueFd, 3> kept_;       // ours until "go"; the program never sees them
  StatusPage* page_ = nullptr;
};

}  // namespace

void be_child(const ImageSockets& sockets, pid_t image, RunNotes notes) {
  Child child;
  child.get_ready(sockets, image);
  child.take(sockets);
  auto program = child.prepare();
  if (!program) child.refuse(program.error());
  child.await_go(image);
  serve_bytecode(std::move(notes), program->entry(), program->uncached_source());
  mark_object_list();
  const pid_t own = ::getpid();
  leave(program->run(), child.page(), own);
}

}  // namespace kiln::image
