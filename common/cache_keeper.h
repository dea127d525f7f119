// Which daemon keeps the index of a cache.
//
// Each runtime directory has a daemon, and a shell without XDG_RUNTIME_DIR, as cron(8) or su(1) starts it,
// has another runtime directory than the session. Who has no daemon of his own there goes to the keeper, if
// that sees the same files and KILN_RUNTIME_DIR does not say that another daemon is wanted
// (client/connection.h).
//
// So a cache is seldom used by several daemons, but may be. Store and overlay are made for that; an index is
// not, for it has one connection (daemon/index.h). The first daemon keeps the index, and any other has one of
// its own, for as long as it lives. It serves runs, compiles and restores all the same; what it does not have
// is what the index remembers: roots that are watched, and bytecode that others have made. That an edit
// within the second has left such bytecode old is then known by Python's own rule alone, as of bytecode that
// Kiln has not made.
//
//   CACHE/index.db.lock   locked by its keeper; its pid, mount namespace and runtime directory, a line each
//
// When the keeper has ended, another daemon ends, too, as soon as it is idle and watches no roots, and the
// next in its place keeps the index; but not one by hand in the foreground, for whoever has started that
// waits for it.
//
// Rejected: that others refuse to start, whose users would lose Kiln. Rejected: that another takes the index
// over as it lives: its images have told it what programs import, and tell no more of it than that it is the
// same.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "common/unique_fd.h"

namespace kiln {

// Empty: it does not say who it is, as where its disk is full.
struct CacheKeeper {
  pid_t pid = 0;
  std::uint64_t mount_namespace = 0;  // inode of /proc/self/ns/mnt
  std::string runtime_dir;

  bool operator==(const CacheKeeper&) const = default;
};

std::string keeper_lock_path(const std::string& cache_dir);

// Makes KEEPER that of CACHE_DIR, which is there, for as long as the descriptor is open. Empty: another is
// it, or nothing can be locked there.
UniqueFd keep_cache(const std::string& cache_dir, const CacheKeeper& keeper);

// Of the calling process.
std::uint64_t own_mount_namespace();

// Nothing: none lives, or the lock is another user's.
std::optional<CacheKeeper> keeper_of(const std::string& cache_dir);

}  // namespace kiln
