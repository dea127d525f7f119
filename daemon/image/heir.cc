#include "daemon/image/heir.h"

#include <dirent.h>
#include <link.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace kiln::image {
namespace {

// Of a smaller program the end takes no longer than making an heir. Of a larger one the memory may be missed.
constexpr long kLeast_KiB = 20L << 10;
constexpr long kMost_KiB = 512L << 10;

struct Inheritance {
  std::atomic<int> is_taken = 0;
  pid_t image = 0;
  alignas(16) std::array<std::byte, 16384> stack{};
};

bool futex(std::atomic<int>& word, int operation, int value, const timespec* limit = nullptr) {
  return ::syscall(SYS_futex, &word, operation, value, limit, nullptr, 0) >= 0;
}

// In the heir. Its memory, errno among it, is the program's, which goes on meanwhile: nothing here may fail.
int inherit(void* argument) {
  auto& inheritance = *static_cast<Inheritance*>(argument);
  ::close_range(0, ~0U, 0);
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  inheritance.is_taken = 1;
  futex(inheritance.is_taken, FUTEX_WAKE, 1);
  if (::getppid() != inheritance.image) ::_exit(0);  // it is gone, or lives in another PID namespace
  while (true) ::pause();
}

// A file that is locked with flock(2) and mapped stays locked while the memory is there. /proc/locks would
// tell, but takes 10 ms to read; so any file that is open will do, beside standard streams.
bool has_file_open() {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir{::opendir("/proc/self/fd"), ::closedir};
  if (!dir) return true;
  while (const dirent* entry = ::readdir(dir.get())) {
    struct stat status {};
    const int fd = std::atoi(entry->d_name);
    if (fd > STDERR_FILENO && ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) return true;
  }
  return false;
}

// One that has forbidden itself to make processes may be killed for it.
bool may_forbid_processes() {
  const auto is_seccomp = [](dl_phdr_info* library, std::size_t, void*) {
    return std::strstr(library->dlpi_name, "libseccomp") != nullptr ? 1 : 0;
  };
  return ::dl_iterate_phdr(is_seccomp, nullptr) != 0;
}

bool may_have_heir() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return false;
  if (usage.ru_maxrss < kLeast_KiB || usage.ru_maxrss > kMost_KiB) return false;
  return !may_forbid_processes() && !has_file_open();
}

}  // namespace

void leave_memory_to_heir(pid_t image, pid_t* heir) {
  if (heir == nullptr || ::getppid() != image || !may_have_heir()) return;
  static auto* inheritance = new Inheritance;  // never freed: the heir stands on it
  inheritance->image = image;
  sigset_t all;
  sigset_t former;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &former);
  void* top = inheritance->stack.data() + inheritance->stack.size();
  // The kernel writes the number down before either of the two goes on.
  const int made =
      ::clone(inherit, top, CLONE_VM | CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD, inheritance, heir);
  // Until then it has the program's descriptors, whose end somebody may wait for. Somebody may have killed
  // it.
  constexpr timespec kLimit{1, 0};
  while (made > 0 && inheritance->is_taken == 0) {
    if (!futex(inheritance->is_taken, FUTEX_WAIT, 0, &kLimit) && errno == ETIMEDOUT) break;
  }
  ::pthread_sigmask(SIG_SETMASK, &former, nullptr);
}

bool end_heir(pid_t heir) {
  siginfo_t info{};
  if (heir <= 0 || ::waitid(P_PID, static_cast<id_t>(heir), &info, WEXITED | WNOHANG | WNOWAIT) != 0)
    return false;
  ::kill(heir, SIGKILL);
  return true;
}

}  // namespace kiln::image
