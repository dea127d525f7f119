#include "common/cache_keeper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <string_view>

namespace kiln {
namespace {

std::string lock_path(const std::string& cache_dir) {
  return cache_dir + "/index.db.lock";
}

// fcntl(2): of the open file description, so that it does not end with another descriptor of the file's.
struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  return lock;
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

}  // namespace

UniqueFd keep_cache(const std::string& cache_dir, const CacheKeeper& keeper) {
  const std::string path = lock_path(cache_dir);
  while (true) {
    UniqueFd file{::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
    struct flock lock = whole_file(F_WRLCK);
    if (!file || ::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) return {};
    if (!is_still_there(file, path)) continue;
    write_name(file, std::to_string(keeper.pid) + "\n" + keeper.runtime_dir + "\n");
    return file;
  }
}

std::optional<CacheKeeper> keeper_of(const std::string& cache_dir) {
  const UniqueFd file{::open(lock_path(cache_dir).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  struct flock lock = whole_file(F_RDLCK);
  if (!file || ::fcntl(file.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
  char text[PATH_MAX + 16];
  const ssize_t size = ::pread(file.get(), text, sizeof text, 0);
  const std::string_view said(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  const std::size_t first = said.find('\n');
  if (first == std::string_view::npos) return CacheKeeper{};
  const std::string_view rest = said.substr(first + 1);
  return CacheKeeper{std::atoi(text), std::string(rest.substr(0, rest.find('\n')))};
}

}  // namespace kiln
