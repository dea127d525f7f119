#include "client/background.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "client/connection.h"
#include "client/daemon_start.h"
#include "client/own_title.h"
#include "common/fd_passing.h"
#include "common/paths.h"

namespace kiln {
namespace {

constexpr int kChannelFd = 3;  // an image's end of its channel; before that, what announces its start
constexpr int kLibraryFd = 4;  // what is preloaded; daemon/image/preload.cc closes it

// As a fresh interpreter would find them: Python looks at dispositions when it starts.
void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Whoever runs for long must not be waited for.
constexpr int kHeadStart_ms = 250;

void await_program(pid_t program) {
  const UniqueFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, program, 0))};
  pollfd polled{pidfd.get(), POLLIN, 0};
  if (pidfd) ::poll(&polled, 1, kHeadStart_ms);
}

// Runs BODY in a grandchild that holds none of our descriptors but KEEP (moved to kChannelFd), so that no
// reader of our output waits for it, in this very session and context: it becomes the image. The middle
// process is vforked and reaped here, for the program that this process is about to become must not find an
// unknown child.
template <class Body>
void in_background(int keep, HeadStart head_start, Body body) {
  const pid_t program = ::getpid();  // what this process is about to become
  const pid_t middle = ::vfork();
  if (middle == 0) {
    if (::fork() != 0) ::_exit(0);
    be_nameless();  // who looks for the program by its name shall find that alone
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    const int high = keep >= 0 ? ::fcntl(keep, F_DUPFD_CLOEXEC, 10) : -1;
    const int high_null = ::fcntl(null, F_DUPFD_CLOEXEC, 10);
    // Whatever is printed while the interpreter starts is there to be seen: it makes it no image.
    const int output = ::memfd_create("kiln-output", MFD_CLOEXEC);
    const int high_output = ::fcntl(output, F_DUPFD_CLOEXEC, 10);
    ::dup2(high_null, STDIN_FILENO);
    ::dup2(high_output, STDOUT_FILENO);
    ::dup2(high_output, STDERR_FILENO);
    if (high >= 0) ::dup2(high, kChannelFd);
    ::close_range(high >= 0 ? kChannelFd + 1 : kChannelFd, ~0U, 0);
    ::setpgid(0, 0);
    reset_signals();
    if (head_start == HeadStart::program) await_program(program);
    body();
    ::_exit(127);
  }
  while (middle > 0 && ::waitpid(middle, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void become_image(const proto::ImageKey& key, const proto::StartImage& order) {
  auto lib = own_lib_dir();
  if (!lib) return;
  const std::string script = *lib + "/image.py";
  const std::string no_site = "-S";
  const bool with_site = std::ranges::count(key.options(), no_site) == 0;
  std::vector<char*> arguments;
  const auto add = [&](const std::string& text) { arguments.push_back(const_cast<char*>(text.c_str())); };
  add(key.argv0());
  for (const auto& option : key.options()) add(option);
  add(no_site);  // image.py imports it itself, under observation
  add(script);
  arguments.push_back(nullptr);
  if (key.cwd().empty() && ::chdir("/") != 0) return;
  ::fcntl(kChannelFd, F_SETFD, 0);
  // Read and taken back by daemon/image/preload.cc.
  // LD_PRELOAD splits at spaces and colons, which a path may hold: the library is named by a descriptor.
  const int library = ::open((*lib + "/kiln_image.so").c_str(), O_RDONLY | O_CLOEXEC);
  if (library < 0 || ::dup2(library, kLibraryFd) < 0) return;
  ::fcntl(kLibraryFd, F_SETFD, 0);
  const char* preload = std::getenv("LD_PRELOAD");
  const std::string others = preload != nullptr && preload[0] != '\0' ? std::string(":") + preload : "";
  ::setenv("LD_PRELOAD", ("/proc/self/fd/" + std::to_string(kLibraryFd) + others).c_str(), 1);
  ::setenv("KILN_IMAGE", (std::to_string(kChannelFd) + ":" + (with_site ? "1:" : "0:") + script).c_str(), 1);
  ::setenv("KILN_IMAGE_OVERLAY", order.overlay().c_str(), 1);
  // As Run::exec_interpreter does.
  const bool is_path = !key.cwd().empty() && key.argv0().find('/') != std::string::npos;
  ::execv((is_path ? key.argv0() : key.python()).c_str(), arguments.data());
}

}  // namespace

Result<void> check_installation() {
  const std::string lib = TRY(own_lib_dir());
  for (const char* name : {"/image.py", "/kiln_image.so"}) {
    if (::access((lib + name).c_str(), R_OK) != 0)
      return Error{Reason::setup,
                   "this installation of Kiln is not complete: " + lib + name + " is not there",
                   "kiln doctor"};
  }
  return {};
}

void start_image_in_background(const proto::ImageKey& key, const proto::StartImage& order, UniqueFd channel,
                               HeadStart head_start) {
  in_background(channel.get(), head_start, [&] { become_image(key, order); });
}

void start_all_in_background(const proto::RunRequest& request) {
  const UniqueFd announced = announce_start();
  in_background(announced.get(), HeadStart::program, [&] {
    UniqueFd under_way{announced ? kChannelFd : -1};
    auto connection = Connection::open_or_start();
    under_way.reset();
    if (!connection) return;
    proto::Request wrapped;
    *wrapped.mutable_run() = request;
    wrapped.mutable_run()->set_start_only(true);
    const timeval limit{20, 0};
    ::setsockopt(connection->fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (!connection->send(std::move(wrapped))) return;
    auto received = receive_frame(connection->fd());
    if (!received || received->fds.size() != 1) return;
    proto::Reply reply;
    if (!reply.ParseFromString(received->frame.payload) || !reply.has_start_image()) return;
    if (::dup2(received->fds[0].get(), kChannelFd) < 0) return;
    ::close_range(kChannelFd + 1, ~0U, 0);
    become_image(request.key(), reply.start_image());
  });
}

}  // namespace kiln
