#include "common/absence.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "common/path_error.h"

namespace kiln {

std::string absence_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return {};
  const int why = errno;
  if (why == ENOENT && ::lstat(path.c_str(), &status) == 0) return "it is a symbolic link that leads nowhere";
  if (why == ENOENT || why == ENOTDIR) return "there is no such file";
  return std::string("it cannot be reached: ") + std::strerror(why);
}

bool is_gone(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

Result<void> check_reachable(const std::string& path) {
  struct stat status {};
  if (is_gone(path) || ::stat(path.c_str(), &status) == 0) return {};
  const int why = errno;
  const std::string hint = path_hint(why, path);
  return Error{Reason::not_found, path + " cannot be reached: " + std::strerror(why),
               hint.empty() ? "kiln list" : hint};
}

}  // namespace kiln
