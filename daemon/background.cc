#include "daemon/background.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/path_text.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

constexpr int kNiceness = 10;
// ioprio_set(2). <linux/ioprio.h> calls a parameter "class" in some versions, and glibc has nothing.
constexpr int kIoPriorityWhoProcess = 1;
constexpr int kIoPriorityClassIdle = 3;
constexpr int kIoPriorityClassShift = 13;

// The directory of PATH, or the nearest one above that exists.
UniqueFd open_directory_of(const std::string& path) {
  std::string directory = path;
  do {
    directory = directory_of(directory);
    UniqueFd fd{::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (fd || errno != ENOENT) return fd;
  } while (directory != "/");
  return {};
}

// Root's alone: nobody else can rename anything in it. In one with the sticky bit (/tmp) nobody can rename
// what is root's.
bool is_safe(const struct stat& status, bool sticky_suffices) {
  const bool guarded =
      (status.st_mode & S_IWOTH) == 0 || (sticky_suffices && (status.st_mode & S_ISVTX) != 0);
  return status.st_uid == 0 && guarded;
}

bool is_safe_above(std::filesystem::path directory) {
  while (directory != directory.parent_path()) {
    directory = directory.parent_path();
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0 || !is_safe(status, true)) return false;
  }
  return true;
}

}  // namespace

void enter_background() {
  // Linux has both for each thread; 0 is the one that calls.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness);
  ::syscall(SYS_ioprio_set, kIoPriorityWhoProcess, 0, kIoPriorityClassIdle << kIoPriorityClassShift);
}

bool may_write_unasked(const std::string& path, uid_t user) {
  if (user != 0) return true;
  const UniqueFd directory = open_directory_of(path);
  struct stat status {};
  if (!directory || ::fstat(directory.get(), &status) != 0 || !is_safe(status, false)) return false;
  std::error_code failed;
  const auto real = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(directory.get()), failed);
  return !failed && real.is_absolute() && is_safe_above(real);
}

}  // namespace kiln
