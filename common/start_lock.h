// The lock of starts: of those who would start a daemon for a cache one does, and the others find its daemon.
//
// It is the cache directory itself, locked by flock(2): by a client for the daemon that it starts
// (client/daemon_start.h), by any other daemon, as systemd starts one, for itself until it listens, and by
// who removes the cache. Nobody waits for it for long.
#pragma once

#include <string>

#include "common/unique_fd.h"

namespace kiln {

// LOCK, locked by flock(2). Empty: it is none, or another holds it beyond the limit of 10 s. For a process of
// one thread.
UniqueFd locked_in_time(UniqueFd lock);

// While it is held nobody else starts a daemon for CACHE_DIR. Empty: that is not there, or is held by another
// for long.
UniqueFd hold_starts(const std::string& cache_dir);

}  // namespace kiln
