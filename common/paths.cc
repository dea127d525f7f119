#include "common/paths.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <string_view>

namespace kiln {
namespace {

// A variable's value, if it holds an absolute path: the XDG specification has relative ones ignored.
const char* absolute_variable(const Variables& variables, const char* name) {
  const char* value = variables(name);
  return value != nullptr && value[0] == '/' ? value : nullptr;
}

Error not_absolute(const std::string& name, const std::string& value) {
  return {Reason::system, name + " is not an absolute path: " + value, "export " + name + "=/absolute/path"};
}

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// SUFFIX begins with a slash. DIR may be no more than one: HOME=/ is that of a container's user who has no
// name.
std::string below(const std::string& dir, const std::string& suffix) {
  const std::string place = without_trailing_slashes(dir);
  return place == "/" ? suffix : place + suffix;
}

// Nothing: no home is known.
Result<std::optional<std::string>> overridable(const Variables& variables, const char* override_name,
                                               const char* xdg_name, const char* below_home,
                                               const char* suffix) {
  if (const char* value = variables(override_name); value != nullptr && value[0] != '\0') {
    if (value[0] != '/') {
      return not_absolute(override_name, value);
    }
    return without_trailing_slashes(value);
  }
  if (const char* value = absolute_variable(variables, xdg_name)) return below(value, suffix);
  if (const char* home = absolute_variable(variables, "HOME"))
    return below(home, std::string(below_home) + suffix);
  return std::nullopt;
}

Error another_is_needed(const std::string& what, const std::string& variable) {
  Error error = errno_error(what);
  error.hint = "export " + variable + "=/a/directory/of/yours";
  return error;
}

// One above that cannot be made may be there all the same, which the next one tells. If it is not, it is the
// one to name.
Result<void> make_dirs(const std::string& dir, const std::string& variable) {
  std::optional<Error> denied;
  for (std::size_t slash = dir.find('/', 1); slash != std::string::npos; slash = dir.find('/', slash + 1)) {
    const std::string above = dir.substr(0, slash);
    if (::mkdir(above.c_str(), 0777) == 0 || errno == EEXIST) continue;
    if (errno == ENOENT && denied) return *denied;
    const bool may_be_there = errno == EROFS || errno == EACCES;
    denied = another_is_needed("cannot create " + above, variable);
    if (!may_be_there) return *denied;
  }
  if (::mkdir(dir.c_str(), 0700) == 0 || errno == EEXIST) return {};
  if (errno == ENOENT && denied) return *denied;
  return another_is_needed("cannot create " + dir, variable);
}

// Where it leads to is named, for that is what the user means.
std::optional<Error> linked_dir(const std::string& dir, const std::string& variable) {
  std::error_code failed;
  if (!std::filesystem::is_symlink(dir, failed)) return std::nullopt;
  const auto target = std::filesystem::canonical(dir, failed).string();
  return Error{Reason::system, dir + " is a symbolic link, which Kiln does not follow",
               "export " + variable + "=" + (failed ? "/a/directory/of/yours" : target)};
}

}  // namespace

Result<std::string> runtime_dir() {
  if (const char* value = std::getenv("KILN_RUNTIME_DIR"); value != nullptr && value[0] != '\0') {
    if (value[0] != '/') {
      return not_absolute("KILN_RUNTIME_DIR", value);
    }
    return without_trailing_slashes(value);
  }
  if (const char* value = absolute_variable(::getenv, "XDG_RUNTIME_DIR")) return below(value, "/kiln");
  return "/tmp/kiln-" + std::to_string(::geteuid());
}

Result<std::string> cache_dir() {
  const auto dir = TRY(overridable(::getenv, "KILN_CACHE_DIR", "XDG_CACHE_HOME", "/.cache", "/kiln"));
  if (dir) return *dir;
  return Error{Reason::system, "neither HOME nor KILN_CACHE_DIR is set",
               "export KILN_CACHE_DIR=/absolute/path"};
}

Result<std::optional<std::string>> config_file(const Variables& variables) {
  return overridable(variables, "KILN_CONFIG", "XDG_CONFIG_HOME", "/.config", "/kiln/kiln.toml");
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
std::string log_path(const std::string& cache_dir) {
  return cache_dir + "/kilnd.log";
}

Result<UniqueFd> open_private_dir(const std::string& dir, const std::string& variable) {
  UniqueFd fd{::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd && errno == ENOENT) {
    TRY_VOID(make_dirs(dir, variable));
    fd.reset(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!fd) {
    const int why = errno;
    if (auto linked = linked_dir(dir, variable)) return std::move(*linked);
    errno = why;
    return another_is_needed("cannot open " + dir, variable);
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_error("cannot stat " + dir);
  if (status.st_uid != ::geteuid()) {
    return Error{Reason::foreign_user, dir + " belongs to another user",
                 "export " + variable + "=/a/directory/of/yours"};
  }
  if ((status.st_mode & 022) != 0) {
    return Error{Reason::foreign_user, dir + " can be written by other users",
                 is_for_kiln(dir) ? "chmod 700 " + dir : "export " + variable + "=/a/directory/of/yours"};
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
    if (name.starts_with("kilnd.") || name.starts_with("index.db") || name == "spawn.lock") return true;
  }
  return is_empty && !failed;
}

Result<std::string> own_bin_dir() {
  char buffer[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", buffer, sizeof buffer);
  if (size < 0) return errno_error("cannot read /proc/self/exe");
  const std::string path(buffer, static_cast<std::size_t>(size));
  return path.substr(0, path.rfind('/'));
}

Result<std::string> own_lib_dir() {
  const std::string bin = TRY(own_bin_dir());
  return bin.substr(0, bin.rfind('/')) + "/lib/kiln";
}

std::string absolute_path(const std::string& path, const std::string& cwd) {
  if (!path.empty() && path[0] == '/') return path;
  std::string_view relative = path;
  if (relative.starts_with("./")) relative.remove_prefix(2);
  return (cwd == "/" ? cwd : cwd + "/") + std::string(relative);
}

}  // namespace kiln
