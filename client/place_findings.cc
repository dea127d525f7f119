#include "client/place_findings.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "common/paths.h"
#include "common/place.h"
#include "common/printable.h"
#include "common/quantity.h"
#include "common/shell_word.h"
#include "common/unique_fd.h"
#include "common/variables.h"

namespace kiln {
namespace {

// Bytecode of a large project, and the index of it, fit into this.
constexpr std::uint64_t kComfortable = 256U << 20;
constexpr std::size_t kTrial = 64U << 10;
constexpr std::uint64_t kBlock = 512;  // unit of st_blocks: stat(2)
bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// PATH, or the nearest above it that is there.
std::string nearest_existing(std::string path) {
  struct stat status {};
  while (path.size() > 1 && ::lstat(path.c_str(), &status) != 0) {
    path.resize(path.rfind('/'));
    if (path.empty()) path = "/";
  }
  return path;
}

Findings missing_directory(const std::string& directory, const std::string& variable) {
  const std::string above = nearest_existing(directory);
  const std::string cannot = printable(directory) + " cannot be made: " + printable(above);
  const std::string hint = use_another(variable);
  if (!is_directory(above)) return {{Severity::bad, cannot + " is no directory", hint}};
  const UniqueFd place{::open(above.c_str(), O_PATH | O_CLOEXEC)};
  const FileSystemKind kind = file_system_kind(place.get());
  if (kind.pseudo) return {{Severity::bad, cannot + " is the kernel's own (" + kind.name + ")", hint}};
  if (::access(above.c_str(), W_OK | X_OK) != 0)
    return {{Severity::bad, cannot + ": " + std::strerror(errno), hint}};
  return {{Severity::ok, printable(directory) + ", not there yet"}};
}

// Only what was made for Kiln may be moved, or given another mode or owner: VARIABLE may name a directory, or
// a file, of the system's.
bool is_kilns(const std::string& directory, const std::string& variable) {
  return value_of(variable.c_str()) == nullptr || is_for_kiln(directory);
}

Finding linked_directory(const std::string& directory, const std::string& variable) {
  return {Severity::bad, printable(directory) + " is a symbolic link, which Kiln does not follow",
          follow_link(directory, variable)};
}

// What root owns in a user's place was most likely made by sudo(8).
Finding foreign_directory(const std::string& directory, const std::string& variable, uid_t owner) {
  const std::string mine = "sudo chown -R " + std::to_string(::geteuid()) + " " + shell_word(directory);
  const bool is_lost = owner == 0 && is_kilns(directory, variable);
  return {Severity::bad, printable(directory) + " belongs to another user, of id " + std::to_string(owner),
          is_lost ? mine : use_another(variable)};
}

// As an error number; 0: it can be written to.
int try_to_write(const std::string& directory) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error number, too
  const UniqueFd file{::open(directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600)};
  if (!file) return errno;
  const std::array<char, kTrial> zeros{};
  const ssize_t written = ::write(file.get(), zeros.data(), zeros.size());
  if (written < 0) return errno;
  return written == static_cast<ssize_t>(kTrial) ? 0 : ENOSPC;
}

// Of those that have no files without names, and those that the check of the directory itself tells of.
bool says_nothing_of_room(int error) {
  return error == EOPNOTSUPP || error == EISDIR || error == EACCES || error == EROFS || error == ENOTDIR;
}

// What the files below DIRECTORY take on the disk.
std::uint64_t size_of_files(const std::string& directory) {
  std::uint64_t size = 0;
  std::error_code failed;
  std::filesystem::recursive_directory_iterator at(directory, failed);
  for (const std::filesystem::recursive_directory_iterator end; !failed && at != end; at.increment(failed)) {
    struct stat status {};
    if (::lstat(at->path().c_str(), &status) == 0 && S_ISREG(status.st_mode))
      size += static_cast<std::uint64_t>(status.st_blocks) * kBlock;
  }
  return size;
}

// A shell may go as far as its hard limit (getrlimit(2)).
std::string lift_size_limit() {
  rlimit limit{};
  const bool is_free = ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_max == RLIM_INFINITY;
  return is_free ? "ulimit -f unlimited" : "sudo prlimit --pid $$ --fsize=unlimited";
}

}  // namespace

Findings directory_findings(const std::string& directory, const std::string& variable) {
  struct stat status {};
  const std::string path = shell_word(directory);
  if (::lstat(directory.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return missing_directory(directory, variable);
    return {{Severity::bad, printable(directory) + " cannot be reached: " + std::strerror(errno),
             use_another(variable)}};
  }
  if (S_ISLNK(status.st_mode)) return {linked_directory(directory, variable)};
  if (!S_ISDIR(status.st_mode))
    return {
        {Severity::bad, printable(directory) + " is no directory", make_way_for_dir(directory, variable)}};
  if (status.st_uid != ::geteuid()) return {foreign_directory(directory, variable, status.st_uid)};
  if ((status.st_mode & 022) != 0)
    return {{Severity::bad, printable(directory) + " can be written by other users",
             is_kilns(directory, variable) ? "chmod 700 " + path : use_another(variable)}};
  if (::access(directory.c_str(), R_OK | W_OK | X_OK) == 0) return {{Severity::ok, printable(directory)}};
  return {{Severity::bad, printable(directory) + " cannot be written to: " + std::strerror(errno),
           errno == EROFS ? use_another(variable) : "chmod u+rwx " + path}};
}

std::string make_room(const std::string& directory, std::uint64_t room) {
  const std::uint64_t taken = size_of_files(directory + "/store");
  return taken > 0 && taken >= room ? "kiln gc --limit 0" : use_another("KILN_CACHE_DIR", kComfortable);
}

Finding room_finding(std::uint64_t free_bytes, const std::string& directory) {
  const std::string text = bytes_text(free_bytes) + " are free";
  if (free_bytes >= kComfortable) return {Severity::ok, text};
  return {Severity::warn, "only " + text, make_room(directory, kComfortable - free_bytes)};
}

Findings disk_findings(const std::string& directory) {
  const std::string place = nearest_existing(directory);
  const int error = try_to_write(place);
  if (error == EFBIG)
    return {{Severity::bad, "no file may grow here: a limit is set on their size", lift_size_limit()}};
  if (error != 0 && !says_nothing_of_room(error)) {
    return {{Severity::bad, "nothing can be written in " + printable(place) + ": " + std::strerror(error),
             make_room(directory, kRoomToBegin)}};
  }
  struct statvfs space {};
  if (::statvfs(place.c_str(), &space) != 0 || space.f_blocks == 0)
    return {{Severity::skip, "how much is free is not known"}};
  return {room_finding(std::uint64_t{space.f_bavail} * space.f_frsize, directory)};
}

Finding file_system_finding(const FileSystemKind& kind) {
  if (!kind.remote) return {Severity::ok, "the cache lies on " + kind.name};
  return {Severity::warn,
          "the cache lies on " + kind.name + ", on another machine: the index may be slow, or damaged",
          use_another("KILN_CACHE_DIR")};
}

Findings file_system_findings(const std::string& directory) {
  const UniqueFd fd{::open(nearest_existing(directory).c_str(), O_PATH | O_CLOEXEC)};
  return {file_system_finding(file_system_kind(fd.get()))};
}

}  // namespace kiln
