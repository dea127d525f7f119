#include "client/background.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "client/connection.h"
#include "client/daemon_start.h"
#include "common/fd_passing.h"
#include "common/paths.h"

namespace kiln {
namespace {

constexpr int kChannelFd = 3;  // where image.py expects its channel

// Runs BODY in a grandchild that holds none of our descriptors but KEEP (moved to kChannelFd), so that no reader of
// our output waits for it, in this very session and context: it becomes the image. The middle process is vforked and
// reaped here, for the program that this process is about to become must not find an unknown child.
template <class Body>
void in_background(int keep, Body body) {
  const pid_t middle = ::vfork();
  if (middle == 0) {
    if (::fork() != 0) ::_exit(0);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    const int high = keep >= 0 ? ::fcntl(keep, F_DUPFD_CLOEXEC, 10) : -1;
    const int high_null = ::fcntl(null, F_DUPFD_CLOEXEC, 10);
    for (int fd = 0; fd < 3; ++fd) ::dup2(high_null, fd);
    if (high >= 0) ::dup2(high, kChannelFd);
    ::close_range(high >= 0 ? kChannelFd + 1 : kChannelFd, ~0U, 0);
    ::setpgid(0, 0);
    body();
    ::_exit(127);
  }
  while (middle > 0 && ::waitpid(middle, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// As a fresh interpreter would find them: Python looks at dispositions when it starts.
void reset_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void become_image(const proto::ImageKey& key) {
  auto lib = own_lib_dir();
  if (!lib) return;
  const std::string script = *lib + "/image.py";
  const std::string module = *lib + "/_kiln_image.abi3.so";
  const std::string channel = std::to_string(kChannelFd);
  std::vector<char*> arguments;
  const auto add = [&](const std::string& text) { arguments.push_back(const_cast<char*>(text.c_str())); };
  add(key.argv0());
  for (const auto& option : key.options()) add(option);
  add(script);
  add(channel);
  add(module);
  arguments.push_back(nullptr);
  reset_signals();
  if (key.cwd().empty() && ::chdir("/") != 0) return;
  ::fcntl(kChannelFd, F_SETFD, 0);
  ::execv(key.python().c_str(), arguments.data());
}

}  // namespace

void start_image_in_background(const proto::ImageKey& key, UniqueFd channel) {
  in_background(channel.get(), [&] { become_image(key); });
}

void start_all_in_background(const proto::RunRequest& request) {
  in_background(-1, [&] {
    auto connection = Connection::open_or_start();
    if (!connection) return;
    proto::Request wrapped;
    *wrapped.mutable_run() = request;
    if (!connection->send(std::move(wrapped))) return;
    auto received = receive_frame(connection->fd());
    if (!received || received->fds.size() != 1) return;
    if (::dup2(received->fds[0].get(), kChannelFd) < 0) return;
    ::close_range(kChannelFd + 1, ~0U, 0);
    become_image(request.key());
  });
}

}  // namespace kiln
