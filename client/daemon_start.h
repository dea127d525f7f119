// Bringing a daemon to life, and replacing one of another build.
//
// Life cycle: kilnd holds an exclusive flock on RUNTIME/kilnd.lock for as long as it lives; the lock file is
// never unlinked, so that two daemons can never hold two files of that name. A kilnd that cannot get the lock
// ends at once: any number of them may be started, one remains. To keep a crowd of clients from starting a
// crowd of daemons, who wants to start one takes RUNTIME/spawn.lock first, and who finds it taken only waits
// for its holder. Then he takes the cache's lock of starts (common/start_lock.h): of those of several runtime
// directories, who share it, one starts a daemon, and the others go to that (common/cache_keeper.h).
//
// A run that finds no daemon starts one beside its program, and not at once: until then RUNTIME/starts.lock
// is held, shared by all who are about to start one, so that `kiln daemon stop` right after the run ends what
// the run has begun.
#pragma once

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace kiln {

// Starts kilnd in a session of its own, with no descriptor of the caller's, and returns when it accepts
// connections (or another does). Fails if it ends before that; its log tells why.
Result<void> start_daemon();

// Tells that a daemon is about to be started, for as long as it, or a copy in another process, is open.
// Empty: nobody can be told.
UniqueFd announce_start();

// Waits for the starts that are under way, announced or begun. Fails with Reason::timeout if they take long.
Result<void> await_starts();

// Fails if something would keep a daemon from starting, as far as can be told without waiting.
Result<void> check_what_a_daemon_needs();
// The same where none is running: with Reason::no_daemon.
Result<void> check_daemon_can_start();

// Ends the living daemon, of whatever build, and returns when it has let go of socket and index. Programs
// that run go on undisturbed. Fails with Reason::no_daemon if none lives.
Result<void> stop_daemon();

// Ends the living daemon, if there is one, and returns the lifetime lock: no other lives while it is held.
Result<UniqueFd> stop_daemon_for_good();

}  // namespace kiln
