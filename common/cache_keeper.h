// Which daemon keeps the index of a cache.
//
// A cache may be used by several daemons of one user: each runtime directory has one, and a shell without
// XDG_RUNTIME_DIR, as cron(8) or su(1) starts it, has another runtime directory than the session. Store and
// overlay are made for that; an index is not, for it has one connection (daemon/index.h). So the first one
// keeps the index, and any other has one of its own, for as long as it lives. It serves runs, compiles and
// restores all the same; what it does not have is what the index remembers: roots that are watched, and
// bytecode that others have made. That an edit within the second has left such bytecode old is then known by
// Python's own rule alone, as of bytecode that Kiln has not made.
//
//   CACHE/index.db.lock   locked by its keeper; its pid and its runtime directory, a line each
//
// Rejected: that others refuse to start, whose users would lose Kiln; that clients go to the keeper, which
// may see other files than they do.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "common/unique_fd.h"

namespace kiln {

// Empty: its disk was too full to say who it is.
struct CacheKeeper {
  pid_t pid = 0;
  std::string runtime_dir;

  bool operator==(const CacheKeeper&) const = default;
};

// Makes KEEPER that of CACHE_DIR, which is there, for as long as the descriptor is open. Empty: another is
// it, or nothing can be locked there.
UniqueFd keep_cache(const std::string& cache_dir, const CacheKeeper& keeper);

// Nothing: none lives.
std::optional<CacheKeeper> keeper_of(const std::string& cache_dir);

}  // namespace kiln
