#include "common/path_error.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/shell_word.h"

namespace kiln {
namespace {

// What is there of PATH: itself, or the nearest directory above.
std::string existing(const std::string& path) {
  std::error_code ignored;
  std::filesystem::path at = path;
  while (at.has_relative_path() && !std::filesystem::exists(at, ignored)) at = at.parent_path();
  return at.empty() ? "." : at.string();
}

}  // namespace

std::string path_hint(int error, const std::string& path) {
  switch (error) {
    case ENOENT:
      return "ls " + shell_word(existing(path));
    case ENOSPC:
    case EDQUOT:
      return "df -h " + shell_word(existing(path));
    case EROFS:
      return "findmnt -T " + shell_word(existing(path));
    case EACCES:
    case EPERM:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
      return "namei -l " + shell_word(path);  // who may do what, and what is there, all the way down
    case EIO:
      return "sudo dmesg";
    default:
      return {};
  }
}

std::string permission_hint(const std::string& path, const std::string& rights) {
  struct stat status {};
  const bool is_own = ::stat(path.c_str(), &status) == 0 && status.st_uid == ::geteuid();
  return is_own ? "chmod u+" + rights + " " + shell_word(path) : path_hint(EACCES, path);
}

Error path_error(const std::string& what, const std::string& path, Reason reason) {
  const int why = errno;
  std::string hint = path_hint(why, path);
  errno = why;
  Error error = errno_error(what + " " + path, reason);
  if (!hint.empty()) error.hint = std::move(hint);
  return error;
}

}  // namespace kiln
