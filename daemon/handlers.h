// What the daemon does for each kind of request: one function each.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <vector>

#include "common/config.h"
#include "daemon/images.h"
#include "daemon/session.h"
#include "proto/kiln.pb.h"

namespace kiln {

class ExplainService;
class IndexThread;
struct IndexEntry;
struct IndexFilter;
class Overlay;
class PrecompileService;
class Recompiler;
class RunCounts;
class Settings;
class StoreThread;
class WatchService;

// Facts about this daemon that status shows.
struct DaemonFacts {
  std::string socket;
  std::string cache_dir;
  std::string log;
  std::uint64_t start_s = 0;  // CLOCK_MONOTONIC
  std::uint64_t mount_namespace = 0;
  std::uint64_t root_device = 0;
  std::uint64_t root_inode = 0;
  bool service = false;  // systemd listens, and has started it
};

// Arguments of what is awaited are named objects here, never temporaries: g++ 12 destroys some of those
// twice.
class Handlers {
 public:
  Handlers(DaemonFacts facts, Settings& settings, Images& images, IndexThread& index, StoreThread& store,
           PrecompileService& precompile, Overlay& overlay, Recompiler& recompiler, WatchService& watch,
           ExplainService& explain, RunCounts& counts, std::function<void()> reload,
           std::function<void()> stop)
      : facts_(std::move(facts)),
        settings_(settings),
        images_(images),
        index_(index),
        store_(store),
        precompile_(precompile),
        overlay_(overlay),
        recompiler_(recompiler),
        watch_(watch),
        explain_(explain),
        counts_(counts),
        reload_(std::move(reload)),
        stop_(std::move(stop)) {}

  boost::asio::awaitable<void> handle(Session& session, const proto::Request& request);

 private:
  // A path means for the client what it means for us.
  template <class Request>
  bool sees_the_same_files(const Request& request) const {
    return request.mount_namespace() == facts_.mount_namespace &&
           request.root_device() == facts_.root_device && request.root_inode() == facts_.root_inode;
  }

  // What holds for this run. The error says why no image serves it.
  Result<Config> config_of(const proto::RunRequest& request);
  void order_start(Session& session, const Images::Start& start) const;

  boost::asio::awaitable<void> run(Session& session, const proto::RunRequest& request);
  boost::asio::awaitable<void> warm(Session& session, const proto::RunRequest& request);
  boost::asio::awaitable<void> precompile(Session& session, const proto::PrecompileRequest& request);
  void describe_daemon(proto::Status::Daemon& daemon) const;
  boost::asio::awaitable<void> status(Session& session);
  boost::asio::awaitable<void> examine(Session& session);
  boost::asio::awaitable<void> list(Session& session, const proto::ListRequest& request);
  boost::asio::awaitable<bool> list_all(Session& session, const IndexFilter& filter, std::uint64_t& left);
  // PART is used up.
  boost::asio::awaitable<bool> send(Session& session, std::vector<IndexEntry>& part);
  boost::asio::awaitable<void> clean(Session& session, const proto::CleanRequest& request);
  boost::asio::awaitable<void> explain(Session& session, const proto::ExplainRequest& request);
  boost::asio::awaitable<void> explain_run(Session& session, const proto::RunRequest& request);
  boost::asio::awaitable<void> most_used(Session& session, const proto::MostUsedRequest& request);
  boost::asio::awaitable<void> settle(Session& session);
  boost::asio::awaitable<void> gc(Session& session, const proto::GcRequest& request);
  boost::asio::awaitable<void> reload(Session& session);
  boost::asio::awaitable<void> stop(Session& session);
  boost::asio::awaitable<void> answer_ping(Session& session);

  DaemonFacts facts_;
  Settings& settings_;
  Images& images_;
  IndexThread& index_;
  StoreThread& store_;
  PrecompileService& precompile_;
  Overlay& overlay_;
  Recompiler& recompiler_;
  WatchService& watch_;
  ExplainService& explain_;
  RunCounts& counts_;
  std::function<void()> reload_;
  std::function<void()> stop_;
};

}  // namespace kiln
