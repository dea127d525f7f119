#include "common/paths.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <filesystem>
#include <string_view>

#include "common/path_error.h"
#include "common/path_text.h"
#include "common/place.h"
#include "common/shell_word.h"
#include "common/variables.h"

namespace kiln {
namespace {

Error not_absolute(const std::string& name, const std::string& value) {
  return {Reason::system, name + " is not an absolute path: " + value, "unset " + name};
}

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// The value of NAME, which has one, as the directory or file that it names.
Result<std::string> named_by(const char* name, const char* value) {
  if (value[0] != '/') return not_absolute(name, value);
  return without_trailing_slashes(value);
}

Result<void> make_dirs(const std::string& dir) {
  for (std::size_t slash = dir.find('/', 1); slash != std::string::npos; slash = dir.find('/', slash + 1)) {
    const std::string above = dir.substr(0, slash);
    if (::mkdir(above.c_str(), 0777) != 0 && errno != EEXIST) {
      const int why = errno;  // which EEXIST does not always precede
      if (::access(above.c_str(), F_OK) == 0) continue;
      errno = why;
      return path_error("cannot create", above);
    }
  }
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return path_error("cannot create", dir);
  return {};
}

std::optional<Error> linked_dir(const std::string& dir, const std::string& variable) {
  std::error_code failed;
  if (!std::filesystem::is_symlink(dir, failed)) return std::nullopt;
  return Error{Reason::system, dir + " is a symbolic link, which Kiln does not follow",
               follow_link(dir, variable)};
}

// Without the right to look into it nobody can tell what else it is for: the owner has taken it away.
bool is_own_directory(const std::string& dir) {
  struct stat status {};
  return ::lstat(dir.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid();
}

// After open(2) has failed.
Error unusable_dir(const std::string& dir, const std::string& variable) {
  const bool is_shut = errno == EACCES;
  Error unusable = errno_error("cannot open " + dir);
  if (auto linked = linked_dir(dir, variable)) return std::move(*linked);
  struct stat status {};
  if (::lstat(dir.c_str(), &status) == 0 && !S_ISDIR(status.st_mode)) {
    unusable.hint = make_way_for_dir(dir, variable);
    return unusable;
  }
  unusable.hint = is_shut && is_own_directory(dir) ? "chmod u+rwx " + shell_word(dir) : use_another(variable);
  return unusable;
}

}  // namespace

Result<std::string> runtime_dir() {
  if (const char* const value = value_of("KILN_RUNTIME_DIR")) return named_by("KILN_RUNTIME_DIR", value);
  return default_runtime_dir();
}

Result<std::string> cache_dir() {
  if (const char* const value = value_of("KILN_CACHE_DIR")) return named_by("KILN_CACHE_DIR", value);
  if (const auto dir = default_cache_dir()) return *dir;
  return Error{Reason::system, "neither HOME nor KILN_CACHE_DIR is set", use_another("KILN_CACHE_DIR")};
}

Result<std::optional<std::string>> config_file(const Variables& variables) {
  if (const char* const value = value_of("KILN_CONFIG", variables))
    return TRY(named_by("KILN_CONFIG", value));
  if (const char* const value = absolute_value_of("XDG_CONFIG_HOME", variables))
    return path_in(value, "kiln/kiln.toml");
  if (const char* const value = absolute_value_of("HOME", variables))
    return path_in(value, ".config/kiln/kiln.toml");
  return std::nullopt;
}

std::string socket_path(const std::string& runtime_dir) {
  return runtime_dir + "/kilnd.sock";
}
std::string lifetime_lock_path(const std::string& runtime_dir) {
  return runtime_dir + "/kilnd.lock";
}
std::string spawn_lock_path(const std::string& runtime_dir) {
  return runtime_dir + "/spawn.lock";
}
std::string starts_lock_path(const std::string& runtime_dir) {
  return runtime_dir + "/starts.lock";
}
std::string log_path(const std::string& cache_dir) {
  return cache_dir + "/kilnd.log";
}

Result<UniqueFd> open_private_dir(const std::string& dir, const std::string& variable) {
  UniqueFd fd = TRY(find_private_dir(dir, variable));
  if (fd) return fd;
  if (const auto made = make_dirs(dir); !made)
    return Error{made.error().reason, made.error().message, use_another(variable)};
  fd = TRY(find_private_dir(dir, variable));
  if (fd) return fd;
  return Error{Reason::system, dir + " was removed as soon as it was made", use_another(variable)};
}

Result<UniqueFd> find_private_dir(const std::string& dir, const std::string& variable) {
  UniqueFd fd{::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd && errno == ENOENT) return fd;
  if (!fd) return unusable_dir(dir, variable);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return path_error("cannot stat", dir);
  if (status.st_uid != ::geteuid()) {
    return Error{Reason::foreign_user, dir + " belongs to another user", use_another(variable)};
  }
  if ((status.st_mode & 022) != 0) {
    return Error{Reason::foreign_user, dir + " can be written by other users",
                 is_for_kiln(dir) ? "chmod 700 " + shell_word(dir) : use_another(variable)};
  }
  return fd;
}

bool is_for_kiln(const std::string& dir) {
  std::error_code failed;
  std::filesystem::directory_iterator at(dir, failed);
  if (failed) return false;
  bool is_empty = true;
  for (const std::filesystem::directory_iterator end; !failed && at != end; at.increment(failed)) {
    const std::string name = at->path().filename();
    is_empty = false;
    if (name.starts_with("kilnd.") || name.starts_with("index.db") || name == "spawn.lock" ||
        name == "starts.lock")
      return true;
  }
  return is_empty && !failed;
}

std::string make_way_for_dir(const std::string& dir, const std::string& variable) {
  return value_of(variable.c_str()) == nullptr ? move_aside(dir) : use_another(variable);
}

std::string follow_link(const std::string& dir, const std::string& variable) {
  std::error_code dangling;
  const auto target = std::filesystem::canonical(dir, dangling).string();
  const bool is_fit = !dangling && can_be_used(target) && is_for_kiln(target);
  return is_fit ? "export " + variable + "=" + shell_word(target) : use_another(variable);
}

Result<std::string> own_bin_dir() {
  char buffer[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", buffer, sizeof buffer);
  if (size < 0) return errno_error("cannot read /proc/self/exe");
  return std::string(directory_of({buffer, static_cast<std::size_t>(size)}));
}

Result<std::string> own_lib_dir() {
  const std::string bin = TRY(own_bin_dir());
  return path_in(directory_of(bin), "lib/kiln");
}

Result<std::string> own_lib_file(const std::string& name) {
  std::string path = TRY(own_lib_dir()) + "/" + name;
  if (::access(path.c_str(), R_OK) == 0) return path;
  return Error{Reason::setup, "this installation of Kiln is not complete: " + path + " is not there",
               "kiln doctor"};
}

std::string absolute_path(const std::string& path, const std::string& cwd) {
  if (!path.empty() && path[0] == '/') return path;
  std::string_view relative = path;
  if (relative.starts_with("./")) relative.remove_prefix(2);
  return (cwd == "/" ? cwd : cwd + "/") + std::string(relative);
}

}  // namespace kiln
