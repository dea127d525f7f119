#include "daemon/temporary_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>

#include "common/path_text.h"

namespace kiln {
namespace {

constexpr int kNameAttempts = 100;

std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return path_in(directory_of(path), kTemporaryPrefix) + std::to_string(::getpid()) + "-" +
         std::to_string(counter.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

TemporaryFile::~TemporaryFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

int TemporaryFile::create(const std::string& destination, mode_t mode) {
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    path_ = temporary_name(destination);
    fd_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    if (fd_) return 0;
    if (errno != EEXIST) break;
  }
  const int error = errno;
  path_.clear();
  return error;
}

int TemporaryFile::set_mode(mode_t mode) {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return errno;
  if ((status.st_mode & 0777) == mode) return 0;
  return ::fchmod(fd_.get(), mode) == 0 ? 0 : errno;
}

int TemporaryFile::write(std::string_view first, std::string_view second) {
  while (!first.empty() || !second.empty()) {
    const iovec parts[2] = {{const_cast<char*>(first.data()), first.size()},
                            {const_cast<char*>(second.data()), second.size()}};
    const ssize_t written = ::writev(fd_.get(), parts, 2);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    auto size = static_cast<std::size_t>(written);
    const auto of_first = std::min(size, first.size());
    first.remove_prefix(of_first);
    second.remove_prefix(size - of_first);
  }
  return 0;
}

int TemporaryFile::stamp(FileStamp& stamp) const {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return errno;
  stamp = stamp_of(status);
  return 0;
}

int TemporaryFile::rename_to(const std::string& path) {
  if (::rename(path_.c_str(), path.c_str()) != 0) return errno;
  path_.clear();
  return 0;
}

}  // namespace kiln
