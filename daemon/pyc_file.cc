#include "daemon/pyc_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <stdexcept>

#include "common/unique_fd.h"
#include "daemon/source_walk.h"

namespace kiln {
namespace {

constexpr int kNameAttempts = 100;

std::string directory_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return directory_of(path) + "/" + std::string(kTemporaryPrefix) + std::to_string(::getpid()) + "-" +
         std::to_string(counter.fetch_add(1, std::memory_order_relaxed));
}

// As mkdir(2) under that umask; set-group-id, which is inherited, stays. 0 or errno.
int make_directory(const std::string& path, mode_t umask) {
  const mode_t wanted = 0777 & ~umask;
  if (::mkdir(path.c_str(), wanted) != 0) return errno == EEXIST ? 0 : errno;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return errno;
  if ((status.st_mode & 0777) == wanted) return 0;
  return ::chmod(path.c_str(), (status.st_mode & 07000) | wanted) == 0 ? 0 : errno;
}

int make_directories(const std::string& path, mode_t umask) {
  int error = make_directory(path, umask);
  if (error != ENOENT || path.rfind('/') == 0) return error;
  error = make_directories(directory_of(path), umask);
  return error == 0 ? make_directory(path, umask) : error;
}

// A file that is removed unless it was renamed.
class TemporaryFile {
 public:
  // 0 or errno.
  int create(const std::string& destination, mode_t mode) {
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
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  int set_mode(mode_t mode) {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) return errno;
    if ((status.st_mode & 0777) == mode) return 0;
    return ::fchmod(fd_.get(), mode) == 0 ? 0 : errno;
  }

  int write(std::string_view first, std::string_view second) {
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

  int rename_to(const std::string& path, FileStamp& stamp) {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) return errno;
    stamp = stamp_of(status);
    if (::rename(path_.c_str(), path.c_str()) != 0) return errno;
    path_.clear();
    return 0;
  }

 private:
  UniqueFd fd_;
  std::string path_;
};

CompileError unwritable(const std::string& path, int error_number) {
  auto error = system_error(error_number);
  error.message = "cannot write " + path + ": " + error.message;
  return error;
}

}  // namespace

void throw_exception_from_error(const CompileError& error, const boost::source_location&) {
  throw std::logic_error("value() of a failed write: " + error.message);
}

WriteResult write_pyc(const std::string& path, std::string_view header, std::string_view body,
                      mode_t source_mode, mode_t umask) {
  struct stat present {};
  if (::lstat(path.c_str(), &present) == 0 && !S_ISREG(present.st_mode)) {
    return CompileError{"FileExistsError", path + " is no regular file and would be changed into one"};
  }
  const mode_t mode = (source_mode | 0200) & 0666 & ~umask;
  TemporaryFile file;
  FileStamp stamp;
  int error = file.create(path, mode);
  if (error == ENOENT) {
    error = make_directories(directory_of(path), umask);
    if (error == 0) error = file.create(path, mode);
  }
  if (error == 0) error = file.set_mode(mode);
  if (error == 0) error = file.write(header, body);
  if (error == 0) error = file.rename_to(path, stamp);
  if (error != 0) return unwritable(path, error);
  return stamp;
}

}  // namespace kiln
