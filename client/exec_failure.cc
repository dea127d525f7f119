#include "client/exec_failure.h"

#include <sys/stat.h>

#include <cerrno>

#include "common/path_error.h"
#include "common/shell_word.h"

namespace kiln {

Error exec_failure(const std::string& what, const std::string& path, int failure) {
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  errno = failure;
  auto error = path_error(what, path);
  if (exists && S_ISDIR(status.st_mode)) {
    error.message = what + " " + path + ": it is a directory";
    error.hint.clear();
  } else if (exists && failure == ENOENT) {
    error.message = what + " " + path + ": the program in its first line is not there";
    error.hint = "head -n 1 " + shell_word(path);
  } else if (exists && failure == EACCES) {
    error.hint = "chmod +x " + shell_word(path);
  }
  return error;
}

}  // namespace kiln
