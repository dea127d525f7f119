#include "daemon/watch/sight.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "common/file_stamp.h"
#include "common/path_text.h"

namespace kiln {
namespace {

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

PathStatus status_of(const struct stat& status) {
  const FileStamp stamp = stamp_of(status);
  return {{stamp.device, stamp.inode}, stamp.changed_ns};
}

Coverage coverage_of(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
      return Coverage::missing;
    case EACCES:
    case EPERM:
      return Coverage::unreadable;
    default:
      return Coverage::failed;
  }
}

int open_directory(int above, const std::string& path, int flags) {
  return ::openat(above, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
}

// The directory that PATH leads to; none if it is another.
UniqueFd open_same(const std::string& path, const Identity& identity) {
  UniqueFd descriptor{::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  struct stat status {};
  const bool same =
      descriptor && ::fstat(descriptor.get(), &status) == 0 && status_of(status).identity == identity;
  return same ? std::move(descriptor) : UniqueFd{};
}

// Null at the end, and errno, which is 0 unless it failed.
const dirent* next_entry(DIR* dir) {
  errno = 0;
  return ::readdir(dir);
}

}  // namespace

PathStatus path_status(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status_of(status) : PathStatus{};
}

DirectorySight see_directory(const Visit& visit, const KindOfFileSystem& kind) {
  DirectorySight sight;
  // Before it is opened: a change in between shows as a change of this.
  sight.status = path_status(visit.path);
  UniqueFd above;
  if (visit.parent) {
    above = open_same(std::string(directory_of(visit.path)), *visit.parent);
    sight.astray = !above;
    if (sight.astray) return sight;
  }
  const std::string name(above ? std::string(name_of(visit.path)) : visit.path);
  const int start = above ? above.get() : AT_FDCWD;
  sight.descriptor.reset(open_directory(start, name, O_NOFOLLOW));
  // With O_DIRECTORY a symlink is ENOTDIR, or ELOOP on some file systems (open(2)).
  if (!sight.descriptor && (errno == ENOTDIR || errno == ELOOP) && visit.may_be_link) {
    sight.descriptor.reset(open_directory(start, name, 0));
    sight.linked = true;
  }
  struct stat status {};
  if (!sight.descriptor || ::fstat(sight.descriptor.get(), &status) != 0) {
    sight.coverage = coverage_of(errno);
    sight.detail = std::strerror(errno);
    sight.descriptor.reset();
    return sight;
  }
  sight.status = status_of(status);
  // It can be listed, but who may not enter it learns nothing of what is in it.
  if (::faccessat(sight.descriptor.get(), ".", X_OK, AT_EACCESS) != 0) {
    sight.coverage = coverage_of(errno);
    sight.detail = std::strerror(errno);
    sight.descriptor.reset();
    return sight;
  }
  const FileSystemKind found = kind(sight.descriptor.get());
  if (!found.trusted) {
    sight.coverage = Coverage::untrusted;
    sight.detail = found.name;
    sight.descriptor.reset();
  }
  return sight;
}

std::optional<Listing> list_directory(UniqueFd descriptor, bool recursive) {
  Listing listing;
  struct stat own {};
  ::fstat(descriptor.get(), &own);
  const std::unique_ptr<DIR, CloseDir> dir(::fdopendir(descriptor.get()));
  if (!dir) return std::nullopt;
  const int fd = descriptor.release();
  while (const dirent* entry = next_entry(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const bool must_look = entry->d_type == DT_UNKNOWN || (entry->d_type == DT_REG && recursive);
    struct stat status {};
    if (must_look && ::fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (entry->d_type == DT_DIR || S_ISDIR(status.st_mode)) {
      listing.directories.emplace_back(name);
      continue;
    }
    const bool vouched = S_ISREG(status.st_mode) && status.st_nlink == 1 && status.st_dev == own.st_dev;
    if (recursive && !vouched && listing.by_stat.size() <= Listing::kMost) listing.by_stat.emplace_back(name);
  }
  if (errno != 0) return std::nullopt;
  return listing;
}

UniqueFd open_directory_of(const Look& look) {
  return open_same(look.path, look.directory);
}

NameSight see_name(const UniqueFd& directory, const Look& look, const Look::Item& item) {
  NameSight sight;
  sight.descriptor.reset(::openat(directory.get(), item.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!sight.descriptor || ::fstat(sight.descriptor.get(), &status) != 0) {
    if (errno == ENOENT) sight.state = Name::State::absent;
    sight.descriptor.reset();
    return sight;
  }
  const bool single =
      S_ISREG(status.st_mode) && status.st_nlink == 1 && status.st_dev == look.directory.device;
  if (item.held && (S_ISREG(status.st_mode) || S_ISLNK(status.st_mode))) {
    sight.state = S_ISLNK(status.st_mode) ? Name::State::link : Name::State::heard;
    return sight;
  }
  sight.descriptor.reset();
  // Directories have entries of their own, and need none as names.
  if (!item.held && (single || S_ISDIR(status.st_mode))) sight.state = Name::State::absent;
  return sight;
}

}  // namespace kiln
