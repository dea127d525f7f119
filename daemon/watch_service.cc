#include "daemon/watch_service.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/pyc.h"
#include "daemon/source_walk.h"
#include "daemon/temporary_file.h"
#include "daemon/watch/forest.h"

namespace kiln {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMaxImported = 16'384;  // directories

std::string_view word(RootState state) {
  switch (state) {
    case RootState::crawling:
      return "crawling";
    case RootState::watching:
      return "watching";
    case RootState::by_stat:
      return "by-stat";
    case RootState::missing:
      return "missing";
  }
  return "unknown";
}

bool covers(const WatchedRoot& root, const std::string& directory) {
  const std::string below = root.path == "/" ? root.path : root.path + "/";
  if (directory == root.path) return true;
  return directory.starts_with(below) && !is_ignored(root.ignore, directory.substr(below.size()));
}

WatcherOptions with_limit(std::size_t limit) {
  WatcherOptions options;
  options.watch_limit = limit;
  return options;
}

}  // namespace

WatchService::WatchService(IndexThread& index, Recompiler& recompiler, std::size_t limit)
    : index_(index), recompiler_(recompiler), watcher_(with_limit(limit)) {}

asio::awaitable<void> WatchService::run() {
  const auto roots = co_await index_.roots();
  if (!roots) spdlog::error("no directory is watched: {}", roots.error().message);
  for (const auto& root : roots ? *roots : std::vector<WatchedRoot>()) {
    roots_.insert(root.path);
    watcher_.add_root(root.path, root.ignore);
  }
  asio::posix::stream_descriptor changes(co_await asio::this_coro::executor, ::dup(watcher_.changes_fd()));
  boost::system::error_code failed;
  while (true) {
    co_await changes.async_wait(asio::posix::stream_descriptor::wait_read,
                                asio::redirect_error(asio::use_awaitable, failed));
    if (failed) co_return;
    pass_on(watcher_.take_changes());
  }
}

// Our own writes come back as well, but sources are never ours. A tree may be larger than what is watched.
void WatchService::pass_on(const Changes& changes) {
  for (const auto& file : changes.files) {
    if (file.ends_with(".py")) recompiler_.look_at_source(file);
  }
  for (const auto& directory : changes.directories) recompiler_.look_at_source(directory);
  for (const auto& tree : changes.trees) recompiler_.look_at_source(tree == "/" ? std::string() : tree);
}

asio::awaitable<void> WatchService::serve(Session& session, const proto::WatchRequest& request) {
  proto::Reply reply;
  auto& watch = *reply.mutable_watch();
  const auto changed = co_await change(request, watch);
  if (!changed) co_return co_await session.refuse(changed.error());
  co_await session.reply(reply);
}

// The index first: what it cannot keep is not promised.
asio::awaitable<Result<void>> WatchService::change(const proto::WatchRequest& request,
                                                   proto::WatchReply& reply) {
  for (const auto& path : request.paths()) {
    WatchedRoot root{path, {request.ignore().begin(), request.ignore().end()}};
    if (request.remove() && !roots_.contains(path)) continue;
    Result<void> kept{};
    if (request.remove()) {
      kept = co_await index_.remove_root(path);
    } else {
      kept = co_await index_.add_root(root);
    }
    if (!kept) co_return kept.error();
    if (request.remove()) {
      roots_.erase(path);
      watcher_.remove_root(path);
    } else {
      roots_.insert(path);
      watcher_.add_root(path, root.ignore);
    }
    reply.add_paths(path);
  }
  co_return Result<void>{};
}

void WatchService::watch_imports(const std::vector<std::string>& files) {
  for (const auto& file : files) {
    const auto source = file.ends_with(".py") ? std::optional(file) : source_from_cache(file);
    if (!source || !source->starts_with('/') || imported_.size() >= kMaxImported) continue;
    const std::string directory = clean_path(directory_of(*source));
    if (imported_.insert(directory).second) watcher_.add_directory(directory);
  }
}

void WatchService::describe(const std::string& directory, const std::vector<WatchedRoot>& roots,
                            proto::ExplainReply::Watched& watched) const {
  watched.set_how(imported_.contains(directory) ? "directory" : "no");
  watched.set_path(directory);
  const auto covering =
      std::ranges::find_if(roots, [&](const WatchedRoot& root) { return covers(root, directory); });
  if (covering == roots.end()) return;
  for (const auto& root : watcher_.describe().roots) {
    if (root.path != covering->path) continue;
    watched.set_how("root");
    watched.set_path(root.path);
    watched.set_state(std::string(word(root.state)));
    watched.set_reason(root.reason);
    watched.set_hint(root.hint);
  }
}

void WatchService::describe(proto::Status& status) const {
  const WatchReport report = watcher_.describe();
  for (const auto& root : report.roots) {
    auto& shown = *status.add_roots();
    shown.set_path(root.path);
    shown.set_state(std::string(word(root.state)));
    shown.set_reason(root.reason);
    shown.set_hint(root.hint);
    shown.set_directories(root.directories);
  }
  auto& limit = *status.add_limits();
  limit.set_name("watches");
  limit.set_used(report.watches);
  limit.set_limit(report.watch_limit);
}

}  // namespace kiln
