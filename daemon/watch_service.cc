#include "daemon/watch_service.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <iterator>
#include <memory>
#include <utility>

#include "common/imported_sources.h"
#include "common/path_pattern.h"
#include "common/path_text.h"
#include "common/pyc.h"
#include "daemon/source_walk.h"
#include "daemon/temporary_file.h"

namespace kiln {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::size_t kMaxDirectories = 16'384;
constexpr std::size_t kTidy = 256;  // so many new ones are a reason to forget those that are gone
constexpr int kUnwatchedShown = 5;  // of what was imported
constexpr std::chrono::milliseconds kSettle{10'000};
constexpr std::chrono::milliseconds kTell{250};

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

}  // namespace

namespace {

// What is not one source that was written waits until nothing more has happened for a moment. Bytecode that
// is removed, perhaps with all around it, must not be made again at once: `rm -r` would find a directory that
// it has emptied not to be empty.
constexpr std::chrono::seconds kQuiet{1};
constexpr std::chrono::seconds kMostPatience{10};
using Clock = asio::steady_timer::clock_type;

// False: it is closed.
asio::awaitable<bool> is_readable(asio::posix::stream_descriptor& descriptor) {
  boost::system::error_code failed;
  co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                 asio::redirect_error(asio::use_awaitable, failed));
  co_return !failed;
}

asio::awaitable<bool> is_over(asio::steady_timer& timer) {
  boost::system::error_code failed;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, failed));
  co_return !failed;
}

}  // namespace

asio::awaitable<void> WatchService::run() {
  auto roots = co_await index_.roots();
  if (!roots) spdlog::error("no directory is watched: {}", roots.error().message);
  for (auto& root : roots ? *roots : std::vector<WatchedRoot>()) {
    watcher_.add_root(root.path, root.ignore);
    roots_.add(std::move(root));
  }
  recompiler_.set_roots(roots_);
  renew();
  asio::posix::stream_descriptor changes(co_await asio::this_coro::executor, ::dup(watcher_.changes_fd()));
  asio::steady_timer quiet(co_await asio::this_coro::executor);
  while (true) {
    quiet.expires_at(later_.is_empty() ? Clock::time_point::max()
                                       : std::min(Clock::now() + kQuiet, later_since_ + kMostPatience));
    const auto heard = co_await (is_readable(changes) || is_over(quiet));
    if (heard.index() == 1) {
      recompiler_.look_at(std::exchange(later_, {}));
      continue;
    }
    if (!std::get<0>(heard)) co_return;
    pass_on(watcher_.take_changes());
    index_.prepare_to_settle();
    if (!waiting_.empty() && watcher_.is_settled()) tell_settled();
  }
}

namespace {

constexpr std::string_view kCache = "/__pycache__";

// What happened to bytecode is a matter of its source, and what happened to all of it that of all sources.
std::optional<std::string> source_meant_by(const std::string& file) {
  if (file.ends_with(".py")) return file;
  return file.ends_with(".pyc") ? source_from_cache(file) : std::nullopt;
}

}  // namespace

// Unless it is watched for no more than what is to be answered.
bool WatchService::is_compiled(const std::string& directory) const {
  return !indexed_.contains(directory) || roots_.covering(directory) != nullptr;
}

// Our own writes come back as well: the look that follows finds them fresh. A tree may be larger than what is
// watched. What has changed may be a kiln.toml.
void WatchService::pass_on(Changes changes) {
  renew();
  Changes sources;
  if (later_.is_empty()) later_since_ = Clock::now();
  for (auto& file : changes.files) {
    if (!is_compiled(source_directory(directory_of(file)))) continue;
    Changes& hints = file.ends_with(".py") ? sources : later_;
    if (auto source = source_meant_by(file)) hints.files.push_back(std::move(*source));
    if (file.ends_with(kCache)) later_.directories.emplace_back(directory_of(file));
  }
  for (const auto& found : changes.directories) {
    auto directory = source_directory(found);
    if (is_compiled(directory)) later_.directories.push_back(std::move(directory));
  }
  std::ranges::copy_if(changes.trees, std::back_inserter(later_.trees),
                       [this](const std::string& tree) { return is_compiled(source_directory(tree)); });
  if (!sources.is_empty()) recompiler_.look_at(std::move(sources));
}

namespace {

// Where something helps, it is watched as soon as that is done.
bool is_refused(const RootReport& root) {
  return root.state == RootState::by_stat && root.hint.empty();
}

}  // namespace

asio::awaitable<void> WatchService::serve(Session& session, const proto::WatchRequest& request) {
  (void)co_await index_.roots();  // asked after run() has: roots_ is complete
  proto::Reply reply;
  auto& watch = *reply.mutable_watch();
  std::set<std::string> added;
  std::ranges::copy_if(request.paths(), std::inserter(added, added.end()),
                       [this](const std::string& path) { return roots_.at(path) == nullptr; });
  const auto changed = co_await change(request, watch);
  if (!changed) co_return co_await session.refuse(changed.error());
  if (!request.remove()) co_await wait_until_settled(session);
  for (const auto& root : watcher_.describe().roots) {
    if (std::ranges::find(request.paths(), root.path) == request.paths().end()) continue;
    describe(root, *watch.add_roots());
    if (added.contains(root.path) && is_refused(root)) (void)co_await remove(root.path);
  }
  co_await session.reply(reply);
}

// So that it can be told how what was asked for is watched. In a very large tree, or a storm, it is not
// waited for to the end.
asio::awaitable<void> WatchService::wait_until_settled(Session& session) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  const auto stop_waiting = std::unique_ptr<asio::steady_timer, std::function<void(asio::steady_timer*)>>(
      &timer, [this](asio::steady_timer* one) { waiting_.erase(one); });
  waiting_.insert(&timer);
  for (auto waited = kTell; !watcher_.is_settled() && waited <= kSettle; waited += kTell) {
    timer.expires_after(kTell);
    boost::system::error_code told;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, told));
    if (watcher_.is_settled() || !co_await tell_progress(session)) co_return;
  }
}

// False: nobody wants to know any more.
asio::awaitable<bool> WatchService::tell_progress(Session& session) {
  std::uint64_t directories = 0;
  for (const auto& root : watcher_.describe().roots) directories += root.directories;
  proto::Reply reply;
  reply.mutable_progress()->set_directories(directories);
  co_return co_await session.reply(reply);
}

void WatchService::tell_settled() {
  for (asio::steady_timer* const timer : waiting_) timer->cancel();
}

// ROOT with what its files say by now. After a mistake in them what held before still does.
WatchedRoot WatchService::configured(const WatchedRoot& root) {
  if (root.variables.empty()) return root;
  const auto config = settings_.at(root.path, root.variables);
  if (!config) {
    std::string& mistake = mistakes_[root.path];
    if (std::exchange(mistake, config.error().message) != mistake) {
      spdlog::error("configuration of {} ignored: {}", root.path, mistake);
    }
    return root;
  }
  mistakes_.erase(root.path);
  WatchedRoot configured = root;
  configured.policy = config->watch_policy == WatchPolicy::all ? "all" : "imported";
  configured.ignore = patterns_below(root.path, config->watch_ignore);
  return configured;
}

void WatchService::renew() {
  std::vector<WatchedRoot> changed;
  for (const auto& [path, root] : roots_) {
    auto renewed = configured(root);
    if (renewed != root) changed.push_back(std::move(renewed));
  }
  for (auto& root : changed) {
    spdlog::info("the configuration of {} has changed", root.path);
    index_.renew_root(root);
    watch(std::move(root));
  }
}

// From now on, or otherwise than before.
void WatchService::watch(WatchedRoot root) {
  watcher_.add_root(root.path, root.ignore);
  std::string path = root.path;
  const bool keeps_all = root.keeps_all();
  roots_.add(std::move(root));
  recompiler_.set_roots(roots_);
  if (keeps_all) recompiler_.look_at({{}, {}, {std::move(path)}});
}

namespace {

WatchedRoot wanted_root(const std::string& path, const proto::WatchRequest& request) {
  WatchedRoot root;
  root.path = path;
  root.variables = {request.variables().begin(), request.variables().end()};
  root.pythons = {request.python().begin(), request.python().end()};
  root.umask = request.umask();
  return root;
}

}  // namespace

asio::awaitable<Result<void>> WatchService::change(const proto::WatchRequest& request,
                                                   proto::WatchReply& reply) {
  for (const auto& path : request.paths()) {
    if (request.remove() && roots_.at(path) == nullptr) continue;
    const auto wanted = wanted_root(path, request);
    Result<void> changed{};
    if (request.remove()) {
      changed = co_await remove(path);
    } else {
      changed = co_await add(wanted);
    }
    if (!changed) co_return changed.error();
    reply.add_paths(path);
  }
  co_return Result<void>{};
}

// The index first: what it cannot keep is not promised.
asio::awaitable<Result<void>> WatchService::add(const WatchedRoot& wanted) {
  auto root = configured(wanted);
  const auto kept = co_await index_.add_root(root);
  if (kept) watch(std::move(root));
  co_return kept;
}

// Nothing is written there by itself afterwards: it may be about to be removed.
asio::awaitable<Result<void>> WatchService::remove(const std::string& path) {
  const auto removed = co_await index_.remove_root(path);
  const WatchedRoot* const root = roots_.at(path);
  if (!removed || root == nullptr) co_return removed;
  forget(WatchedRoot(*root));
  co_return co_await index_.wait_for_writes();
}

// What was heard of it goes as well, but for what concerns others.
void WatchService::forget(const WatchedRoot& root) {
  roots_.remove(root.path);
  mistakes_.erase(root.path);
  watcher_.remove_root(root.path);
  recompiler_.set_roots(roots_);
  const auto is_forgotten = [&](const std::string& path) {
    return root.holds(path) && !roots_.may_hold(path);
  };
  for (auto* const hints : {&later_.files, &later_.directories, &later_.trees}) {
    std::erase_if(*hints, is_forgotten);
  }
  Changes of_imports;
  std::ranges::copy_if(imported_, std::back_inserter(of_imports.directories), is_forgotten);
  recompiler_.look_at(std::move(of_imports));
}

// --- Who follows

// Its events wait here for the client to read them. One that does not, for too many, is let go.
class WatchService::Follower {
 public:
  Follower(const asio::any_io_executor& executor, const proto::FollowRequest& request)
      : paths_(request.paths().begin(), request.paths().end()), events_(executor, kQueuedEvents) {}

  void hear(const proto::FollowEvent& event) {
    if (wants(event.source()) && !events_.try_send(boost::system::error_code(), event)) close();
  }
  void close() { events_.close(); }

  asio::awaitable<void> stream(Session& session) {
    while (true) {
      auto [failed, event] = co_await events_.async_receive(asio::as_tuple(asio::use_awaitable));
      if (failed) co_return;
      proto::Reply reply;
      *reply.mutable_recompiled() = std::move(event);
      if (!co_await session.reply(reply)) co_return;
    }
  }

 private:
  static constexpr std::size_t kQueuedEvents = 65'536;

  bool wants(const std::string& source) const {
    const auto holds = [&](const std::string& path) { return source == path || is_below(source, path); };
    return paths_.empty() || std::ranges::any_of(paths_, holds);
  }

  const std::vector<std::string> paths_;
  asio::experimental::channel<void(boost::system::error_code, proto::FollowEvent)> events_;
};

namespace {

proto::FollowEvent event_of(const RecompiledFile& made) {
  proto::FollowEvent event;
  event.set_source(made.file.source);
  event.set_tag(made.interpreter.cache_tag.empty() ? made.interpreter.version : made.interpreter.cache_tag);
  event.set_optimize(made.optimize);
  event.set_restored(made.file.outcome == FileOutcome::restored);
  event.set_recovered(made.recovered);
  event.set_elapsed_us(made.file.elapsed_us);
  if (!made.file.error) return event;
  event.set_error_type(made.file.error->type);
  event.set_error_message(made.file.error->message);
  event.set_line(made.file.error->line);
  event.set_column(made.file.error->column);
  return event;
}

}  // namespace

asio::awaitable<void> WatchService::serve(Session& session, const proto::FollowRequest& request) {
  (void)co_await index_.roots();  // as above
  const auto executor = co_await asio::this_coro::executor;
  Follower follower(executor, request);
  const auto unfollow_at_end = std::unique_ptr<Follower, std::function<void(Follower*)>>(
      &follower, [this](Follower* one) { unfollow(*one); });
  follow(follower, executor);
  proto::Reply reply;
  reply.mutable_following()->set_roots(roots_.size());
  for (const auto& path : request.paths()) {
    if (!is_watched(path)) reply.mutable_following()->add_unwatched(path);
  }
  if (!co_await session.reply(reply)) co_return;
  co_await (follower.stream(session) || session.wait_for_hang_up());
}

// The recompiler is asked to tell only while somebody listens.
void WatchService::follow(Follower& follower, const asio::any_io_executor& executor) {
  followers_.insert(&follower);
  recompiler_.set_listener([this, executor](const RecompiledFile& made) {
    asio::post(executor, [this, event = event_of(made)] {
      for (Follower* const one : followers_) one->hear(event);
    });
  });
}

void WatchService::unfollow(Follower& follower) {
  followers_.erase(&follower);
  if (followers_.empty()) recompiler_.set_listener(nullptr);
}

void WatchService::stop() {
  for (Follower* const follower : followers_) follower->close();
  tell_settled();
}

bool WatchService::is_watched(const std::string& path) const {
  if (roots_.covering(path) != nullptr) return true;
  return imported_.contains(path) || imported_.contains(std::string(directory_of(path)));
}

void WatchService::watch_imports(const std::vector<std::string>& files) {
  for (const auto& source : imported_sources(files)) {
    if (!source.ends_with(".py") || !has_room()) continue;
    const std::string directory = clean_path(std::string(directory_of(source)));
    const bool is_new = imported_.insert(directory).second;
    if (is_new && indexed_.erase(directory) == 0) watcher_.add_files_of(directory);
  }
}

void WatchService::watch_indexed(const std::vector<std::string>& directories) {
  for (const auto& directory : directories) {
    if (imported_.contains(directory) || !has_room()) continue;
    if (indexed_.insert(directory).second) watcher_.add_files_of(directory);
  }
}

bool WatchService::has_room() {
  if (imported_.size() + indexed_.size() >= tidied_at_ + kTidy) forget_missing();
  return imported_.size() + indexed_.size() < kMaxDirectories;
}

// Each of them costs a look whenever something is asked. One that comes back is watched when something in it
// is imported or looked at again.
void WatchService::forget_missing() {
  for (auto* const directories : {&imported_, &indexed_}) {
    std::erase_if(*directories, [this](const std::string& directory) {
      const bool is_missing = watcher_.is_missing(directory);
      if (is_missing) watcher_.remove_files_of(directory);
      return is_missing;
    });
  }
  tidied_at_ = imported_.size() + indexed_.size();
}

void WatchService::describe(const std::string& source, proto::ExplainReply::Watched& watched) const {
  const std::string directory(directory_of(source));
  watched.set_how(imported_.contains(directory) ? "directory" : "no");
  watched.set_path(directory);
  watched.set_reason(watcher_.why_unheard(directory));
  if (const std::string why = roots_.why_left_out(source); !why.empty() && watched.how() == "no")
    watched.set_reason(why);
  const WatchedRoot* const covering = roots_.covering(source);
  if (covering == nullptr) return;
  for (const auto& root : watcher_.describe().roots) {
    if (root.path != covering->path) continue;
    watched.set_how("root");
    watched.set_path(root.path);
    watched.set_state(std::string(word(root.state)));
    if (!root.reason.empty()) watched.set_reason(root.reason);
    watched.set_hint(root.hint);
  }
}

bool WatchService::will_compile(const std::string& path) const {
  const WatchedRoot* const covering = roots_.covering(path);
  return covering != nullptr && covering->keeps_all();
}

void WatchService::describe(const RootReport& root, proto::Status::Root& shown) const {
  shown.set_path(root.path);
  shown.set_state(std::string(word(root.state)));
  shown.set_reason(root.reason);
  shown.set_hint(root.hint);
  shown.set_directories(root.directories);
  for (const auto& directory : root.unwatched) shown.add_unwatched(directory);
  if (const auto* const known = roots_.at(root.path)) shown.set_policy(known->policy);
  const auto mistake = mistakes_.find(root.path);
  if (mistake != mistakes_.end()) shown.set_configuration_error(mistake->second);
}

void WatchService::describe_imports(proto::Status& status) const {
  status.set_imported_directories(imported_.size());
  for (const auto& directory : imported_) {
    const std::string reason = watcher_.why_unheard(directory);
    if (reason.empty()) continue;
    status.set_unwatched_imports(status.unwatched_imports() + 1);
    if (status.unwatched_directories_size() < kUnwatchedShown)
      status.add_unwatched_directories(directory + ": " + reason);
  }
}

void WatchService::describe(proto::Status& status) const {
  const WatchReport report = watcher_.describe();
  for (const auto& root : report.roots) describe(root, *status.add_roots());
  describe_imports(status);
  status.set_overflows(report.epoch - 1);
  auto& limit = *status.add_limits();
  limit.set_name("watches");
  limit.set_used(report.watches);
  limit.set_limit(report.watch_limit);
}

}  // namespace kiln
