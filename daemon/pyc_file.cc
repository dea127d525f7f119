#include "daemon/pyc_file.h"

#include <sys/stat.h>

#include <cerrno>
#include <stdexcept>

#include "daemon/source_walk.h"
#include "daemon/temporary_file.h"

namespace kiln {
namespace {

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
  if (error == 0) error = file.stamp(stamp);
  if (error == 0) error = file.rename_to(path);
  if (error != 0) return unwritable(path, error);
  return stamp;
}

}  // namespace kiln
