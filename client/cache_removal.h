// Removing all that Kiln keeps on the disk: index, store, overlay and logs.
//
// The directory is what a variable names, so there may be other things in it; at worst it is somebody's home.
// So files go by what Kiln calls its own, and directories that are empty then. No symbolic link is followed,
// and no other file system entered. What says that the directory is a cache of Kiln's, its index and its log,
// goes last: a removal that was interrupted can be done again.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"

namespace kiln {

enum class RemovalMode : std::uint8_t { real, dry_run };

struct RemovedPart {
  std::string name;  // of one or more entries of the directory
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;  // on the disk
};

struct CacheRemoval {
  std::array<RemovedPart, 4> parts{{{"index"}, {"store"}, {"overlay"}, {"logs"}}};
  std::vector<std::string> foreign;  // paths of what is not Kiln's: these stay
  std::vector<Error> failures;       // "cannot remove PATH: why"
};

// Removes the cache at DIR, or finds out what that would do. Nothing, if DIR is not there. An Error if it
// belongs to another user, is a symbolic link, no cache of Kiln's (Reason::not_found), or used by a daemon.
Result<CacheRemoval> remove_cache(const std::string& dir, RemovalMode mode);

}  // namespace kiln
