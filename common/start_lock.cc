#include "common/start_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "common/file_stamp.h"

namespace kiln {
namespace {

constexpr unsigned kLimit_s = 10;

bool is_at(const UniqueFd& dir, const std::string& path) {
  struct stat opened {};
  const FileStamp there = stamp_of(path);
  return ::fstat(dir.get(), &opened) == 0 && opened.st_dev == there.device && opened.st_ino == there.inode;
}

}  // namespace

UniqueFd locked_in_time(UniqueFd lock) {
  struct sigaction interrupt {};
  struct sigaction former {};
  interrupt.sa_handler = [](int) {};  // without SA_RESTART: flock(2) has no time limit of its own
  ::sigaction(SIGALRM, &interrupt, &former);
  ::alarm(kLimit_s);
  const bool taken = lock && ::flock(lock.get(), LOCK_EX) == 0;
  ::alarm(0);
  ::sigaction(SIGALRM, &former, nullptr);
  return taken ? std::move(lock) : UniqueFd();
}

UniqueFd hold_starts(const std::string& cache_dir) {
  while (true) {
    UniqueFd dir =
        locked_in_time(UniqueFd{::open(cache_dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)});
    if (!dir || is_at(dir, cache_dir)) return dir;
  }
}

}  // namespace kiln
