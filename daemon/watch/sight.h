// What the file system says of a directory, its entries, and names in it: the system calls of a crawl.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "common/file_system_kind.h"
#include "common/unique_fd.h"
#include "daemon/watch/directory.h"
#include "daemon/watch/forest.h"

namespace kiln {

using KindOfFileSystem = std::function<FileSystemKind(int descriptor)>;

// What PATH leads to, with one stat(2).
PathStatus path_status(const std::string& path);

struct DirectorySight {
  UniqueFd descriptor;                    // open where it can be watched
  Coverage coverage = Coverage::watched;  // else why not
  std::string detail;                     // the same for people
  PathStatus status;
  bool linked = false;  // PATH is a symlink
  bool astray = false;  // the directory above is another: nothing else is said
};
DirectorySight see_directory(const Visit& visit, const KindOfFileSystem& kind);

// RECURSIVE: with Listing::by_stat, for which every file is looked at. Nothing, and errno, on failure: half a
// listing would look like a whole one.
std::optional<Listing> list_directory(UniqueFd descriptor, bool recursive);

struct NameSight {
  UniqueFd descriptor;  // open where it is to be watched
  Name::State state = Name::State::by_stat;
};
// The directory whose names are to be looked at; none if its path leads to another by now.
UniqueFd open_directory_of(const Look& look);
NameSight see_name(const UniqueFd& directory, const Look& look, const Look::Item& item);

}  // namespace kiln
