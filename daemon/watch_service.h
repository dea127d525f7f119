// Watching for others: keeps the roots of `kiln watch`, and what runs import, compiled.
//
// Roots are in the index, so they hold over restarts. What a run imported is watched directory by directory,
// never what lies below. A hint of the watcher (daemon/watch/watcher.h) becomes a look by the recompiler,
// which makes what has an entry in the index: what was precompiled, or imported by a run. Below roots with
// the policy `all` it makes the rest, too. Who follows hears of what is made.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "daemon/index_thread.h"
#include "daemon/recompile.h"
#include "daemon/session.h"
#include "daemon/settings.h"
#include "daemon/watch/watcher.h"
#include "daemon/watched_root.h"
#include "proto/kiln.pb.h"

namespace kiln {

// Belongs to the thread that runs everything.
class WatchService {
 public:
  // All of it outlives this.
  WatchService(Settings& settings, IndexThread& index, Recompiler& recompiler, Watcher& watcher)
      : settings_(settings), index_(index), recompiler_(recompiler), watcher_(watcher) {}

  // Adds the index's roots, then passes on hints until it is cancelled.
  boost::asio::awaitable<void> run();

  boost::asio::awaitable<void> serve(Session& session, const proto::WatchRequest& request);
  boost::asio::awaitable<void> serve(Session& session, const proto::FollowRequest& request);

  // Looks at the configuration of the roots, and does what it says by now. A few stats for each.
  void renew();

  // Lets go of those who follow, and who wait.
  void stop();

  // Whether the source at PATH, that the index does not know, will have bytecode soon (policy `all`).
  bool will_compile(const std::string& path) const;

  // Watches the directories of FILES, sources or their bytecode, that a run has imported.
  void watch_imports(const std::vector<std::string>& files);
  // Watches these, with the files in them, so that what the index has of them need not be looked at before
  // each answer; what changes there is not compiled.
  void watch_indexed(const std::vector<std::string>& directories);

  bool has_roots() const { return !roots_.empty(); }
  // How changes in DIRECTORY are heard of. To be asked after something of the index: it then has the roots.
  void describe(const std::string& source, proto::ExplainReply::Watched& watched) const;

  // Its roots and limit.
  void describe(proto::Status& status) const;

 private:
  class Follower;

  boost::asio::awaitable<Result<void>> change(const proto::WatchRequest& request, proto::WatchReply& reply);
  boost::asio::awaitable<Result<void>> add(const WatchedRoot& wanted);
  boost::asio::awaitable<Result<void>> remove(const std::string& path);
  void forget(const WatchedRoot& root);
  boost::asio::awaitable<void> wait_until_settled(Session& session);
  boost::asio::awaitable<bool> tell_progress(Session& session);
  void tell_settled();
  WatchedRoot configured(const WatchedRoot& root);
  void watch(WatchedRoot root);
  void describe(const RootReport& root, proto::Status::Root& shown) const;
  void describe_imports(proto::Status& status) const;
  void pass_on(Changes changes);
  bool is_watched(const std::string& path) const;
  bool is_compiled(const std::string& directory) const;
  bool has_room();
  void forget_missing();
  void follow(Follower& follower, const boost::asio::any_io_executor& executor);
  void unfollow(Follower& follower);

  Changes later_;  // hints for when it is quiet
  std::chrono::steady_clock::time_point later_since_;

  Settings& settings_;
  IndexThread& index_;
  Recompiler& recompiler_;
  Watcher& watcher_;
  WatchedRoots roots_;
  std::map<std::string, std::string> mistakes_;  // in the configuration of roots, by path
  std::set<std::string> imported_;               // directories that are watched for what was imported
  std::set<std::string> indexed_;                // and others, for what the index has of them
  std::size_t tidied_at_ = 0;                    // so many of both were left when the missing were forgotten
  std::set<Follower*> followers_;
  std::set<boost::asio::steady_timer*> waiting_;  // for the watcher to have looked at everything
};

}  // namespace kiln
