#include "common/cache_keeper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <sstream>
#include <string_view>

namespace kiln {
namespace {

// fcntl(2): of the open file description, so that it does not end with another descriptor of the file's.
struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  return lock;
}

// What another user has put there says what he likes.
bool is_own_file(const UniqueFd& file) {
  struct stat status {};
  return ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::geteuid();
}

// `kiln clean --all` removes it.
bool is_still_there(const UniqueFd& file, const std::string& path) {
  struct stat opened {};
  struct stat present {};
  return ::fstat(file.get(), &opened) == 0 && ::stat(path.c_str(), &present) == 0 &&
         opened.st_dev == present.st_dev && opened.st_ino == present.st_ino;
}

// All or nothing.
void write_name(const UniqueFd& file, std::string_view text) {
  if (::ftruncate(file.get(), 0) != 0) return;
  const ssize_t written = ::pwrite(file.get(), text.data(), text.size(), 0);
  if (written != static_cast<ssize_t>(text.size())) (void)!::ftruncate(file.get(), 0);
}

// A directory's name may hold a line's end, too.
CacheKeeper parse(const std::string& text) {
  std::istringstream lines(text);
  CacheKeeper keeper;
  lines >> keeper.pid >> keeper.mount_namespace >> std::ws;
  std::getline(lines, keeper.runtime_dir, '\0');
  if (keeper.runtime_dir.ends_with('\n')) keeper.runtime_dir.pop_back();
  return keeper.runtime_dir.starts_with('/') ? keeper : CacheKeeper{};
}

}  // namespace

std::string keeper_lock_path(const std::string& cache_dir) {
  return cache_dir + "/index.db.lock";
}

std::uint64_t own_mount_namespace() {
  struct stat status {};
  return ::stat("/proc/self/ns/mnt", &status) == 0 ? status.st_ino : 0;
}

UniqueFd keep_cache(const std::string& cache_dir, const CacheKeeper& keeper) {
  const std::string path = keeper_lock_path(cache_dir);
  while (true) {
    UniqueFd file{::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
    struct flock lock = whole_file(F_WRLCK);
    if (!file || !is_own_file(file) || ::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) return {};
    if (!is_still_there(file, path)) continue;
    write_name(file, std::to_string(keeper.pid) + "\n" + std::to_string(keeper.mount_namespace) + "\n" +
                         keeper.runtime_dir + "\n");
    return file;
  }
}

std::optional<CacheKeeper> keeper_of(const std::string& cache_dir) {
  const UniqueFd file{
      ::open(keeper_lock_path(cache_dir).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  struct flock lock = whole_file(F_RDLCK);
  if (!file || !is_own_file(file)) return std::nullopt;
  if (::fcntl(file.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
  char text[PATH_MAX + 64];
  const ssize_t size = ::pread(file.get(), text, sizeof text, 0);
  return parse(std::string(text, size > 0 ? static_cast<std::size_t>(size) : 0));
}

}  // namespace kiln
