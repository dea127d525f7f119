#include "daemon/watch/watcher.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "common/path_text.h"
#include "daemon/source_walk.h"

namespace kiln {
namespace {

// Low, but not the lowest: who waits for the lock waits for this thread, too.
constexpr int kNice = 5;
// So many missing directories are heard when they come; the others, as tops are looked at.
constexpr std::size_t kAwaited = 64;
constexpr std::size_t kUnwatchedShown = 10;
constexpr std::chrono::milliseconds kRemoving{900};  // who removes many files pauses for less
// Where the kernel's limit cannot be read: its default before Linux 5.11.
constexpr std::size_t kOldWatchLimit = 8192;

std::size_t own_limit(std::size_t wanted, const InotifyLimits& limits) {
  if (wanted > 0) return wanted;
  return (limits.watches > 0 ? limits.watches : kOldWatchLimit) / 2;
}

void raise(int fd) {
  const std::uint64_t one = 1;
  (void)!::write(fd, &one, sizeof one);
}

// A tick of the clock is exact enough.
std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

void lower(int fd) {
  std::uint64_t count = 0;
  (void)!::read(fd, &count, sizeof count);
}

}  // namespace

Watcher::Watcher(WatcherOptions options)
    : look_at_tops_(options.look_at_tops),
      kind_(std::move(options.kind)),
      limits_(inotify_limits()),
      forest_(own_limit(options.watch_limit, limits_)),
      changes_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Watcher::~Watcher() {
  thread_.request_stop();
  wake();
}

// --- For all threads

template <class Change>
void Watcher::update(const std::string& path, Change change) {
  const std::string clean = clean_path(path);
  const std::lock_guard lock(mutex_);
  change(clean);
  signal_changes();
  if (!std::exchange(busy_, true)) wake();
}

void Watcher::add_root(const std::string& path, const std::vector<std::string>& ignore) {
  update(path, [&](const std::string& clean) { forest_.add_root(clean, ignore); });
}
void Watcher::remove_root(const std::string& path) {
  update(path, [&](const std::string& clean) { forest_.remove_root(clean); });
}
void Watcher::add_directory(const std::string& path) {
  update(path, [&](const std::string& clean) { forest_.add_directory(clean); });
}
void Watcher::remove_directory(const std::string& path) {
  update(path, [&](const std::string& clean) { forest_.remove_directory(clean); });
}
void Watcher::add_files_of(const std::string& path) {
  update(path, [&](const std::string& clean) { forest_.add_files_of(clean); });
}
void Watcher::remove_files_of(const std::string& path) {
  update(path, [&](const std::string& clean) { forest_.remove_files_of(clean); });
}
void Watcher::add_file(const std::string& path) {
  update(path, [&](const std::string& clean) { forest_.add_file(clean); });
}
void Watcher::remove_file(const std::string& path) {
  update(path, [&](const std::string& clean) { forest_.remove_file(clean); });
}

void Watcher::wake() {
  raise(wake_fd_.get());
}

void Watcher::signal_changes() {
  if (!forest_.changes().empty()) raise(changes_fd_.get());
}

// With the lock. The queue first: what it says of the way to a top spares a look.
void Watcher::hear_events() {
  forest_.hear(decode_events(inotify_.read()), now_ms());
  for (const auto& mount : mounts_.take_changes()) forest_.mounted(mount);
}

void Watcher::look_at_tops() {
  for (Directory* const top : forest_.tops()) forest_.top_seen(*top, path_status(*top->path));
}

void Watcher::hear() {
  const Tick before = forest_.tick();
  hear_events();
  look_at_tops();
  if (forest_.tick() == before) return;
  signal_changes();
  if (!std::exchange(busy_, true)) wake();
}

Tick Watcher::drain() {
  const std::lock_guard lock(mutex_);
  hear();
  return forest_.tick();
}

bool Watcher::unchanged_since(std::string_view path, Tick tick) const {
  const std::lock_guard lock(mutex_);
  return forest_.unchanged_since(path, tick);
}

bool Watcher::link_unchanged_since(std::string_view path, Tick tick) const {
  const std::lock_guard lock(mutex_);
  return forest_.link_unchanged_since(path, tick);
}

std::optional<std::vector<std::string>> Watcher::tree_unchanged_since(std::string_view path, Tick tick) {
  const std::lock_guard lock(mutex_);
  auto by_stat = forest_.tree_unchanged_since(path, tick);
  if (!by_stat && !std::exchange(busy_, true)) wake();  // the question may have a directory looked at again
  return by_stat;
}

bool Watcher::files_unchanged_since(std::string_view path, Tick tick) {
  const std::lock_guard lock(mutex_);
  const bool unchanged = forest_.files_unchanged_since(path, tick);
  if (!unchanged && !std::exchange(busy_, true)) wake();  // the question may have it looked at again
  return unchanged;
}

std::optional<std::vector<std::string>> Watcher::doubtful_since(Tick tick) const {
  const std::lock_guard lock(mutex_);
  return forest_.doubtful_since(tick);
}

bool Watcher::watches_files_of(std::string_view path) const {
  const std::lock_guard lock(mutex_);
  return forest_.watches_files_of(path);
}

bool Watcher::is_being_removed(std::string_view pyc) {
  const std::string_view place = directory_of(pyc);
  const std::lock_guard lock(mutex_);
  hear();
  const std::int64_t then = now_ms() - kRemoving.count();
  return forest_.was_emptied_since(place, then) || forest_.was_emptied_since(directory_of(place), then);
}

void Watcher::hint(const std::string& path) {
  const std::lock_guard lock(mutex_);
  forest_.changes().add_file(std::string(directory_of(path)), name_of(path));
  signal_changes();
}

bool Watcher::is_missing(std::string_view path) const {
  const std::lock_guard lock(mutex_);
  return forest_.is_missing(path);
}

bool Watcher::watches_all_below(std::string_view path) const {
  const std::lock_guard lock(mutex_);
  return forest_.watches_all_below(path);
}

Changes Watcher::take_changes() {
  const std::lock_guard lock(mutex_);
  lower(changes_fd_.get());
  return forest_.changes().take();
}

bool Watcher::wait_until_settled(std::chrono::milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  return settled_.wait_for(lock, timeout, [this] { return !busy_; });
}

bool Watcher::is_settled() {
  const std::lock_guard lock(mutex_);
  tell_settled_ = busy_;
  return !busy_;
}

void Watcher::set_watch_limit(std::size_t limit) {
  {
    const std::lock_guard lock(mutex_);
    forest_.set_watch_limit(own_limit(limit, limits_));
    busy_ = true;
  }
  wake();
}

// --- On the thread

void Watcher::run(const std::stop_token& stop) {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);  // of this thread alone, on Linux
  while (!stop.stop_requested()) {
    if (!work()) wait_for_event();
  }
}

// One step; false if there was nothing to do. The queue is read before each: it must not overflow because we
// are busy. The tops, of which there may be thousands, are looked at when nothing else is left to do.
bool Watcher::work() {
  std::vector<int> dead;
  std::optional<Forest::Task> task;
  const auto take_work = [&] {
    dead = forest_.take_dead_watches();
    if (dead.empty()) task = forest_.next();
    return !dead.empty() || task;
  };
  {
    const std::lock_guard lock(mutex_);
    const Tick before = forest_.tick();
    hear_events();
    if (!take_work()) {
      look_at_tops();
      take_work();
    }
    if (forest_.tick() != before) signal_changes();
    busy_ = !dead.empty() || task;
    if (!busy_) settled_.notify_all();
    if (!busy_ && std::exchange(tell_settled_, false)) raise(changes_fd_.get());
  }
  for (const int watch : dead) inotify_.remove(watch);
  if (task) std::visit([this](const auto& what) { look_at(what); }, *task);
  return !dead.empty() || task;
}

bool Watcher::is_own_limit() const {
  return forest_.watch_limit() < limits_.watches;
}

std::string Watcher::limit_reason() const {
  if (is_own_limit()) return fmt::format("no watch is left: watch.limit grants {}", forest_.watch_limit());
  return fmt::format("no watch is left: {} are in use here; fs.inotify.max_user_watches is {}",
                     forest_.watches(), limits_.watches);
}

void Watcher::look_at(const Visit& visit) {
  DirectorySight sight = see_directory(visit, kind_);
  if (sight.astray) {
    const std::lock_guard lock(mutex_);
    return forest_.astray(visit);
  }
  int watch = -1;
  if (sight.coverage == Coverage::watched && !inotify_) {
    sight.coverage = Coverage::failed;
    sight.detail = inotify_.failure().message;
  } else if (sight.coverage == Coverage::watched) {
    const bool has_room = [&] {
      const std::lock_guard lock(mutex_);
      return forest_.has_room();
    }();
    watch = has_room ? inotify_.watch_directory(sight.descriptor.get()) : -1;
    if (watch < 0) {
      const bool limited = !has_room || errno == ENOSPC;
      sight.coverage = limited ? Coverage::limited : Coverage::failed;
      sight.detail = limited ? std::string() : std::strerror(errno);
    }
  }
  {
    const std::lock_guard lock(mutex_);
    if (watch < 0) {
      if (sight.coverage == Coverage::limited) sight.detail = limit_reason();
      forest_.failed(visit, sight.coverage, sight.status, sight.linked, sight.detail);
      signal_changes();
      return;
    }
    if (!forest_.watched(visit, watch, sight.status, sight.linked)) return;
  }
  // Watched first and listed then, so nothing that is created in between is missed.
  const auto listing = list_directory(std::move(sight.descriptor), visit.recursive);
  const std::string problem = listing ? "" : std::strerror(errno);
  const std::lock_guard lock(mutex_);
  if (listing) {
    forest_.listed(visit, *listing);
  } else {
    forest_.failed(visit, Coverage::failed, sight.status, sight.linked, problem);
  }
  signal_changes();
}

void Watcher::look_at(const Look& look) {
  const UniqueFd directory = open_directory_of(look);
  if (!directory) {
    const std::lock_guard lock(mutex_);
    return forest_.astray(look);
  }
  for (const auto& item : look.items) {
    NameSight sight = see_name(directory, look, item);
    int watch = -1;
    if (sight.descriptor) {
      const bool has_room = [&] {
        const std::lock_guard lock(mutex_);
        return forest_.has_room();
      }();
      if (has_room) watch = inotify_.watch_file(sight.descriptor.get());
      if (watch < 0) sight.state = Name::State::by_stat;
    }
    const std::lock_guard lock(mutex_);
    forest_.looked(look, item, sight.state, watch);
  }
}

namespace {

// PATH, or the nearest directory above it that is there.
UniqueFd open_nearest(std::string path) {
  while (true) {
    UniqueFd directory{::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (directory || path == "/") return directory;
    path = std::string(directory_of(path));
  }
}

}  // namespace

// Watches the nearest directories that are there above what is missing. True: some were not watched before,
// so what was missing may have come meanwhile.
bool Watcher::await_arrivals() {
  std::vector<std::string> missing;
  {
    const std::lock_guard lock(mutex_);
    for (const Directory* const top : forest_.tops()) {
      if (top->coverage == Coverage::missing && missing.size() < kAwaited) missing.push_back(*top->path);
    }
  }
  std::set<int> needed;
  for (const auto& path : missing) {
    const UniqueFd above = open_nearest(std::string(directory_of(path)));
    const int watch = above ? inotify_.watch_for_arrivals(above.get()) : -1;
    if (watch >= 0) needed.insert(watch);
  }
  const bool is_new = !std::ranges::includes(arrivals_, needed);
  const std::lock_guard lock(mutex_);
  for (const int watch : arrivals_) {
    if (!needed.contains(watch) && !forest_.has_watch(watch)) inotify_.remove(watch);
  }
  arrivals_ = std::move(needed);
  return is_new;
}

void Watcher::wait_for_event() {
  if (await_arrivals()) return;
  std::array<pollfd, 2> polled{{{wake_fd_.get(), POLLIN, 0}, {inotify_.fd(), POLLIN, 0}}};
  ::poll(polled.data(), polled.size(), static_cast<int>(look_at_tops_.count()));
  lower(wake_fd_.get());
}

// --- For people

namespace {

std::string reason_of(const Directory& directory) {
  switch (directory.coverage) {
    case Coverage::untrusted:
      return directory.detail + " file system: not all changes are heard";
    case Coverage::unreadable:
      return "cannot be read: " + directory.detail;
    default:
      return directory.detail;
  }
}

// One that is missing is heard of when it comes.
bool is_unwatched(const Directory& directory) {
  return directory.coverage != Coverage::watched && directory.coverage != Coverage::pending &&
         directory.coverage != Coverage::missing;
}

}  // namespace

RootReport Watcher::describe_root(const std::string& path, const Forest::Root& root) const {
  RootReport report;
  report.path = path;
  const auto& all = forest_.directories();
  const auto top = all.find(path);
  if (top == all.end()) return report;
  const auto [begin, end] = range_below(all, path);
  bool pending = top->second.coverage == Coverage::pending;
  report.directories = 1;
  for (auto at = begin; at != end; ++at) {
    if (at->second.coverage == Coverage::missing) continue;  // what was imported from it is gone
    ++report.directories;
    pending = pending || at->second.coverage == Coverage::pending;
    if (is_unwatched(at->second) && report.unwatched.size() < kUnwatchedShown) {
      report.unwatched.push_back(at->first + ": " + reason_of(at->second));
    }
  }
  if (root.limited) {
    report.state = RootState::by_stat;
    report.reason = limit_reason();
    report.hint =
        is_own_limit() ? "KILN_WATCH_LIMIT=100% kiln daemon restart" : watch_limit_hint(limits_.watches);
  } else if (top->second.coverage == Coverage::missing) {
    report.state = RootState::missing;
  } else if (is_unwatched(top->second)) {
    report.state = RootState::by_stat;
    report.reason = reason_of(top->second);
    if (!inotify_) report.hint = inotify_.failure().hint;
  } else if (!pending) {
    report.state = RootState::watching;
  }
  return report;
}

std::string Watcher::why_unheard(const std::string& directory) const {
  const std::lock_guard lock(mutex_);
  const auto& all = forest_.directories();
  const auto found = all.find(directory);
  if (found == all.end() || !is_unwatched(found->second)) return {};
  return found->second.coverage == Coverage::limited ? limit_reason() : reason_of(found->second);
}

WatchReport Watcher::describe() const {
  const std::lock_guard lock(mutex_);
  WatchReport report;
  report.directories = forest_.directories().size();
  report.watches = forest_.watches();
  report.watch_limit = forest_.watch_limit();
  report.epoch = forest_.epoch();
  for (const auto& [path, directory] : forest_.directories()) {
    report.held_files += static_cast<std::size_t>(
        std::ranges::count_if(directory.names, [](const auto& entry) { return entry.second.held > 0; }));
  }
  for (const auto& [path, root] : forest_.roots()) report.roots.push_back(describe_root(path, root));
  return report;
}

}  // namespace kiln
