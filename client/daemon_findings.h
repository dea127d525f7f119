// Findings about the daemon, and what it alone can tell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "client/finding.h"
#include "common/result.h"
#include "proto/kiln.pb.h"

namespace kiln {

// Asks the living daemon to examine what it owns. None is started, and no directory made: who looks for what
// is wrong must leave it as it is. Reason::no_daemon: there is none.
Result<proto::ExamineReply> examine_by_daemon();

using Examined = Result<proto::ExamineReply>;

// What can be told of the index and the store without one: EXAMINED where a daemon answered, and otherwise,
// if none runs, what its program finds out when it is started for that.
Examined examine_cache_by(const Examined& examined);

// Is the socket one, and ours?
Findings socket_findings(const std::string& socket);
// Does it run, answer, is it of our build, and is CACHE_DIR its cache?
Findings daemon_findings(const std::string& cache_dir, const Examined& examined);
// Are the files that hold for the directory PATH in order, and does the daemon go by them?
Findings configuration_findings(const std::string& path, const Examined& examined);
// Of examine_cache_by(). CACHE_DIR: where they lie, and the index is set aside when it has been damaged.
Findings index_findings(const std::string& cache_dir, const Examined& examined);
Findings store_findings(const std::string& cache_dir, const Examined& examined);
// Could images be started?
Findings image_findings(const Examined& examined);
// Is all watched that should be?
Findings watch_findings(const Examined& examined);
// SYSTEM_LIMIT: fs.inotify.max_user_watches; nothing: it cannot be read.
Finding watch_limit_finding(std::optional<std::uint64_t> system_limit);
// FAILURE: that of inotify_init1(2), not 0.
Finding inotify_finding(int failure);

}  // namespace kiln
