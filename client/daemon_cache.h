// A daemon keeps its cache where its environment said when it was started; that of who asks may say another
// place.
#pragma once

#include <optional>
#include <string>

#include "common/result.h"
#include "proto/kiln.pb.h"

namespace kiln {

// Of DAEMON, which keeps another cache than the environment says, with the command after which one of this
// environment runs.
Error of_another_cache(const proto::Status::Daemon& daemon);

// Why the daemon of RUNTIME_DIR is not the one that keeps the index of CACHE_DIR (common/cache_keeper.h),
// with the command that leads to that one. Nothing: it is, or there is none.
std::optional<Error> kept_by_another(const std::string& cache_dir, const std::string& runtime_dir);
// The same of DAEMON, which has answered, and so is known not to keep it where nobody does.
std::optional<Error> not_keeping(const proto::Status::Daemon& daemon);

// The same of the daemon that this environment leads to. It is asked only where nobody keeps the index: it
// keeps its cache where the environment says, as all but a few do.
std::optional<Error> not_keeping_here();

// Fails if a daemon is running whose cache is not DIR. One that does not answer is passed over.
Result<void> check_daemon_cache(const std::string& dir);

}  // namespace kiln
