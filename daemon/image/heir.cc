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

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "daemon/image/whole_file.h"

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
  (void)!::chdir("/");
  ::setpgid(0, 0);
  ::prctl(PR_SET_NAME, "kiln-image");
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

struct Libraries {
  unsigned long long loaded = 0;  // so many, ever
  bool has_seccomp = false;       // who forbids itself to make processes may be killed for it
};

Libraries libraries() {
  Libraries found;
  const auto look = [](dl_phdr_info* library, std::size_t, void* raw) {
    auto& libraries = *static_cast<Libraries*>(raw);
    libraries.loaded = library->dlpi_adds;
    if (std::strstr(library->dlpi_name, "libseccomp") != nullptr) libraries.has_seccomp = true;
    return 0;
  };
  ::dl_iterate_phdr(look, &found);
  return found;
}

std::string root() {
  std::array<char, 2> path{};
  const ssize_t size = ::readlink("/proc/self/root", path.data(), path.size());
  return {path.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

// What all children of an image have.
struct Held {
  unsigned long long libraries = 0;
  std::string cgroup;
};
Held held_by_all;

// proc(5): "HugetlbPages:       0 kB", and /proc/sysvipc/shm, with the process that attached last.
bool holds_segments_or_huge_pages() {
  const std::string status = whole_file("/proc/self/status");
  const std::size_t at = status.find("HugetlbPages:");
  const bool has_huge =
      at != std::string::npos && std::atoll(status.c_str() + at + std::strlen("HugetlbPages:")) != 0;
  const std::string segments = whole_file("/proc/sysvipc/shm");
  return has_huge || segments.find(" " + std::to_string(::getpid()) + " ") != std::string::npos;
}

}  // namespace

void note_what_all_hold() {
  held_by_all = {libraries().loaded, whole_file("/proc/self/cgroup")};
}

bool may_leave_heir() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return false;
  if (usage.ru_maxrss < kLeast_KiB || usage.ru_maxrss > kMost_KiB) return false;
  const Libraries now = libraries();
  if (now.has_seccomp || now.loaded != held_by_all.libraries) return false;
  if (has_file_open() || root() != "/" || holds_segments_or_huge_pages()) return false;
  return whole_file("/proc/self/cgroup") == held_by_all.cgroup;
}

void leave_memory_to_heir(pid_t image, pid_t* heir) {
  if (heir == nullptr || ::getppid() != image || !may_leave_heir()) return;
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
