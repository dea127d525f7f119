// Watching for others: keeps the roots of `kiln watch`, and what runs import, compiled.
//
// Roots are in the index, so they hold over restarts. What a run imported is watched directory by directory,
// never what lies below. A hint of the watcher (daemon/watch/watcher.h) becomes a look by the recompiler,
// which makes what has an entry in the index: what was precompiled, or imported by a run.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "daemon/index_thread.h"
#include "daemon/recompile.h"
#include "daemon/session.h"
#include "daemon/watch/watcher.h"
#include "proto/kiln.pb.h"

namespace kiln {

// Belongs to the thread that runs everything.
class WatchService {
 public:
  // INDEX and RECOMPILER outlive this. LIMIT: of inotify(7) watches.
  WatchService(IndexThread& index, Recompiler& recompiler, std::size_t limit);

  // Adds the index's roots, then passes on hints until it is cancelled.
  boost::asio::awaitable<void> run();

  boost::asio::awaitable<void> serve(Session& session, const proto::WatchRequest& request);

  // Watches the directories of FILES, sources or their bytecode, that a run has imported.
  void watch_imports(const std::vector<std::string>& files);

  // How changes in DIRECTORY are heard of. ROOTS: as the index has them.
  void describe(const std::string& directory, const std::vector<WatchedRoot>& roots,
                proto::ExplainReply::Watched& watched) const;

  // Its roots and limit.
  void describe(proto::Status& status) const;

 private:
  boost::asio::awaitable<Result<void>> change(const proto::WatchRequest& request, proto::WatchReply& reply);
  void pass_on(const Changes& changes);

  IndexThread& index_;
  Recompiler& recompiler_;
  Watcher watcher_;
  std::set<std::string> roots_;
  std::set<std::string> imported_;  // directories that are watched for what was imported
};

}  // namespace kiln
