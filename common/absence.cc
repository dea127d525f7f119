#include "common/absence.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace kiln {

std::string absence_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return {};
  const int why = errno;
  if (why == ENOENT && ::lstat(path.c_str(), &status) == 0) return "it is a symbolic link that leads nowhere";
  if (why == ENOENT || why == ENOTDIR) return "there is no such file";
  return std::string("it cannot be reached: ") + std::strerror(why);
}

}  // namespace kiln
