#include "common/place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "common/file_system_kind.h"
#include "common/path_text.h"
#include "common/shell_word.h"
#include "common/unique_fd.h"
#include "common/variables.h"

namespace kiln {
namespace {

constexpr char kCache[] = "KILN_CACHE_DIR";

std::string numbered(const std::string& name) {
  return name + std::to_string(::geteuid());
}

bool is_private(const std::string& directory, const struct stat& status) {
  return S_ISDIR(status.st_mode) && status.st_uid == ::geteuid() && (status.st_mode & 022) == 0 &&
         ::access(directory.c_str(), R_OK | W_OK | X_OK) == 0;
}

bool can_make_in(const std::string& directory) {
  struct stat status {};
  return ::stat(directory.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         ::access(directory.c_str(), W_OK | X_OK) == 0;
}

bool is_of_this_machine(const std::string& directory) {
  const UniqueFd place{::open(directory.c_str(), O_PATH | O_CLOEXEC)};
  const FileSystemKind kind = file_system_kind(place.get());
  return !kind.pseudo && !kind.remote;
}

bool has_room(const std::string& directory, std::uint64_t room) {
  struct statvfs space {};
  return room == 0 || (::statvfs(directory.c_str(), &space) == 0 &&
                       std::uint64_t{space.f_bavail} * space.f_frsize >= room);
}

// A cache should survive a restart of the machine, a socket need not.
std::vector<std::string> others_than_default(const std::string& variable) {
  if (variable == kCache) return {numbered("/var/tmp/kiln-")};
  return {numbered("/tmp/kiln-"), numbered("/var/tmp/kiln-run-")};
}

}  // namespace

std::string default_runtime_dir() {
  const char* const of_session = absolute_value_of("XDG_RUNTIME_DIR");
  return of_session != nullptr ? path_in(of_session, "kiln") : numbered("/tmp/kiln-");
}

std::optional<std::string> default_cache_dir() {
  if (const char* const caches = absolute_value_of("XDG_CACHE_HOME")) return path_in(caches, "kiln");
  if (const char* const home = absolute_value_of("HOME")) return path_in(home, ".cache/kiln");
  return std::nullopt;
}

bool can_be_used(const std::string& directory, std::uint64_t room) {
  struct stat status {};
  std::string place = directory;
  if (::lstat(place.c_str(), &status) == 0) {
    if (!is_private(place, status)) return false;
  } else {
    while (place.size() > 1 && ::lstat(place.c_str(), &status) != 0) {
      if (errno != ENOENT) return false;
      place.resize(std::max<std::size_t>(place.rfind('/'), 1));
    }
    if (!can_make_in(place)) return false;
  }
  return is_of_this_machine(place) && has_room(place, room);
}

std::string make_way_for(const std::string& path, int failure, const std::string& variable) {
  const std::string directory(directory_of(path));
  if (failure == EROFS || failure == ENOSPC) return use_another(variable);
  if (::access(directory.c_str(), W_OK | X_OK) != 0) return "chmod u+rwx " + shell_word(directory);
  return "mv " + shell_word(path) + " " + shell_word(path + ".old");
}

std::string use_another(const std::string& variable, std::uint64_t room) {
  const auto usual = variable == kCache ? default_cache_dir() : std::optional(default_runtime_dir());
  if (value_of(variable.c_str()) && usual && can_be_used(*usual, room)) return "unset " + variable;
  for (const auto& other : others_than_default(variable)) {
    if (can_be_used(other, room)) return "export " + variable + "=" + shell_word(other);
  }
  return "export " + variable + "=\"$(mktemp -d)\"";
}

}  // namespace kiln
