#include "daemon/watch/forest.h"

#include <sys/inotify.h>

#include <algorithm>
#include <iterator>

#include "common/path_text.h"
#include "daemon/source_walk.h"

namespace kiln {
namespace {

// Of a directory: names that nobody holds and events do not vouch for.
constexpr std::size_t kNames = Listing::kMost;

constexpr std::size_t kDoubts = 10'000;

constexpr std::string_view kCacheDirectory = "__pycache__";

// Each removal makes an event.
constexpr std::size_t kDeadAtOnce = 256;

constexpr std::uint32_t kCame = IN_CREATE | IN_MOVED_TO;
constexpr std::uint32_t kGone = IN_DELETE | IN_MOVED_FROM;

// Of a directory that is missing the next thing heard, or seen by a look at the tops, is that it comes.
bool is_heard(const Directory& directory, Tick since) {
  const bool heard = directory.coverage == Coverage::watched || directory.coverage == Coverage::missing;
  return heard && directory.since <= since;
}

// One that is not watched may be so when what its path leads to has changed. Other file systems are not asked
// before each answer: they may be slow.
bool may_change(const Directory& directory) {
  return directory.watch >= 0 || directory.coverage == Coverage::missing ||
         directory.coverage == Coverage::unreadable || directory.coverage == Coverage::failed;
}

const Name* held_name(const Directory& above, std::string_view path) {
  const auto found = above.names.find(name_of(path));
  return found != above.names.end() && found->second.held > 0 ? &found->second : nullptr;
}

}  // namespace

// --- What is wanted

bool Forest::covers(const std::string& path) const {
  return std::ranges::any_of(roots_, [&](const auto& entry) {
    const auto& [top, root] = entry;
    if (root.limited) return false;
    if (path == top) return true;
    return is_below(path, top) &&
           !is_left_out(root.ignore, std::string_view(path).substr(top == "/" ? 1 : top.size() + 1));
  });
}

const Directory* Forest::find(std::string_view path) const {
  const auto found = directories_.find(path);
  return found != directories_.end() ? &found->second : nullptr;
}

Directory* Forest::find(std::string_view path) {
  return const_cast<Directory*>(std::as_const(*this).find(path));
}

Directory& Forest::ensure(const std::string& path) {
  const auto [at, is_new] = directories_.try_emplace(path);
  Directory& directory = at->second;
  if (!is_new) return directory;
  directory.path = &at->first;
  directory.parent = path == "/" ? nullptr : find(directory_of(path));
  directory.covered = covers(path);
  directory.found = directory.changed = tick_;
  doubt(directory);
  adopt_children(directory);
  enqueue(directory);
  return directory;
}

void Forest::adopt_children(Directory& directory) {
  const auto [begin, end] = range_below(directories_, *directory.path);
  for (auto at = begin; at != end; ++at) {
    if (directory_of(at->first) == *directory.path) at->second.parent = &directory;
  }
}

void Forest::enqueue(Directory& directory) {
  doubt(directory);
  directory.coverage = Coverage::pending;
  directory.visit = 0;
  if (std::exchange(directory.visit_queued, true)) return;
  visit_queue_.push_back(*directory.path);
}

void Forest::enqueue_look(Directory& directory) {
  if (!std::exchange(directory.look_queued, true)) look_queue_.push_back(*directory.path);
}

void Forest::add_root(const std::string& path, std::vector<std::string> ignore) {
  roots_[path] = {std::move(ignore), false};
  Directory& directory = ensure(path);
  directory.root = true;
  wanted_.insert(&directory);
  prune(path);
  enqueue(directory);
}

void Forest::remove_root(const std::string& path) {
  if (roots_.erase(path) == 0) return;
  Directory& directory = ensure(path);
  directory.root = false;
  release(directory);
  retry_limited_roots();
}

void Forest::add_directory(const std::string& path) {
  Directory& directory = ensure(path);
  ++directory.held;
  wanted_.insert(&directory);
  if (directory.coverage == Coverage::missing) enqueue(directory);
}

void Forest::remove_directory(const std::string& path) {
  Directory* const directory = find(path);
  if (directory == nullptr || directory->held == 0) return;
  --directory->held;
  if (!directory->wanted_itself()) release(*directory);
}

void Forest::add_files_of(const std::string& path) {
  for (const std::string& one : {path, path_in(path, kCacheDirectory)}) {
    Directory& directory = ensure(one);
    if (std::exchange(directory.listed, true)) continue;
    ++directory.held;
    wanted_.insert(&directory);
    if (!directory.covered) enqueue(directory);
  }
}

void Forest::remove_files_of(const std::string& path) {
  for (const std::string& one : {path_in(path, kCacheDirectory), path}) {
    Directory* const directory = find(one);
    if (directory == nullptr || !std::exchange(directory->listed, false)) continue;
    doubt(*directory);
    remove_directory(one);
  }
}

void Forest::add_file(const std::string& path) {
  const std::string above(directory_of(path));
  add_directory(above);
  Directory& directory = ensure(above);
  Name& name = directory.names[std::string(name_of(path))];
  if (name.held++ > 0) return;
  name.state = Name::State::unknown;
  name.changed = tick_;
  enqueue_look(directory);
}

void Forest::remove_file(const std::string& path) {
  Directory* const directory = find(directory_of(path));
  if (directory == nullptr) return;
  const auto found = directory->names.find(name_of(path));
  if (found == directory->names.end() || found->second.held == 0) return;
  if (--found->second.held == 0) {
    unlink(found->second.watch, {directory, &found->first});
    found->second.state = Name::State::unknown;  // it may have several links
    enqueue_look(*directory);
  }
  remove_directory(*directory->path);
}

// DIRECTORY is wanted less than it was; it may be gone afterwards.
void Forest::release(Directory& directory) {
  if (!directory.wanted_itself()) wanted_.erase(&directory);
  prune(std::string(*directory.path));
  retry_limited_directories();
}

// Forgets PATH and what is below it where no root covers it any more and nobody holds it.
void Forest::prune(const std::string& path) {
  auto [begin, at] = range_below(directories_, path);
  const auto examine = [&](Directories::iterator it) {
    Directory& directory = it->second;
    directory.covered = covers(it->first);
    doubt(directory);
    if (directory.covered || directory.wanted_itself()) return std::next(it);
    reset(directory);
    orphan_children(directory);
    return directories_.erase(it);
  };
  for (auto it = begin; it != at;) it = examine(it);
  if (const auto itself = directories_.find(path); itself != directories_.end()) examine(itself);
}

void Forest::retry_limited_directories() {
  for (Directory* const directory : wanted_) {
    if (directory->coverage == Coverage::limited && !directory->root && has_room()) enqueue(*directory);
  }
}

void Forest::retry_limited_roots() {
  for (auto& [path, root] : roots_) {
    if (!std::exchange(root.limited, false)) continue;
    Directory& directory = ensure(path);
    directory.covered = true;
    enqueue(directory);
  }
}

// Half a tree that is watched would look like a whole one: roots without room are given up.
void Forest::limit(const std::string& path) {
  for (auto& [top, root] : roots_) {
    if (path != top && !is_below(path, top)) continue;
    root.limited = true;
    if (Directory* const directory = find(top)) give_up(*directory);
    prune(top);
  }
}

void Forest::give_up(Directory& directory) {
  reset(directory);
  directory.coverage = Coverage::limited;
  directory.visit = 0;
  directory.visit_queued = false;
}

// The last of the roots go first, then what is watched for itself.
void Forest::set_watch_limit(std::size_t limit) {
  watch_limit_ = limit;
  for (auto root = roots_.rbegin(); root != roots_.rend() && is_beyond_limit(); ++root)
    this->limit(root->first);
  for (Directory* const directory : wanted_) {
    if (!is_beyond_limit()) break;
    if (directory->watch >= 0) give_up(*directory);
  }
  retry_limited_directories();
  retry_limited_roots();
}

// --- Watches

void Forest::link(int watch, const Target& target) {
  auto& targets = watches_[watch];
  dead_watches_.erase(watch);
  if (std::ranges::find(targets, target) == targets.end()) targets.push_back(target);
}

void Forest::unlink(int& watch, const Target& target) {
  const auto found = watches_.find(std::exchange(watch, -1));
  if (found == watches_.end()) return;
  std::erase(found->second, target);
  if (found->second.empty()) dead_watches_.insert(found->first);
}

bool Forest::is_linked(int watch, const Target& target) const {
  const auto found = watches_.find(watch);
  return found != watches_.end() && std::ranges::find(found->second, target) != found->second.end();
}

std::vector<int> Forest::take_dead_watches() {
  std::vector<int> dead;
  while (!dead_watches_.empty() && dead.size() < kDeadAtOnce) {
    dead.push_back(*dead_watches_.begin());
    watches_.erase(dead.back());
    dead_watches_.erase(dead_watches_.begin());
  }
  return dead;
}

// --- What is no longer so

// Names that are held are to be looked at again; the others are forgotten.
void Forest::drop_names(Directory& directory) {
  for (auto at = directory.names.begin(); at != directory.names.end();) {
    Name& name = at->second;
    unlink(name.watch, {&directory, &at->first});
    name.state = Name::State::unknown;
    name.changed = tick_;
    at = name.held > 0 ? std::next(at) : directory.names.erase(at);
  }
}

void Forest::reset(Directory& directory) {
  doubt(directory);
  unlink(directory.watch, {&directory, nullptr});
  drop_names(directory);
  directory.crowded = directory.linked = false;
  directory.found = directory.changed = tick_;
}

// What PATH leads to is not what it was. What is wanted for itself is looked at again.
void Forest::forget_tree(const std::string& path) {
  const auto itself = directories_.find(path);
  if (itself == directories_.end()) return forget_below(path);
  changes_.add_tree(path);
  reset(itself->second);
  const bool stays = itself->second.wanted_itself();
  if (stays) enqueue(itself->second);  // before those below, to which it leads
  forget_below(path);
  if (stays) return;
  orphan_children(itself->second);
  directories_.erase(itself);
}

// Before DIRECTORY is erased.
void Forest::orphan_children(const Directory& directory) {
  const auto [begin, end] = range_below(directories_, *directory.path);
  for (auto at = begin; at != end; ++at) {
    if (at->second.parent == &directory) at->second.parent = nullptr;
  }
}

void Forest::forget_below(const std::string& path) {
  const auto [begin, end] = range_below(directories_, path);
  if (begin == end) return;
  changes_.add_tree(path);
  std::vector<Directory*> kept;
  for (auto at = begin; at != end;) {
    Directory& directory = at->second;
    reset(directory);
    if (directory.wanted_itself()) kept.push_back(&directory);
    at = directory.wanted_itself() ? std::next(at) : directories_.erase(at);
  }
  for (Directory* const directory : kept) {
    directory->parent = find(directory_of(*directory->path));
    enqueue(*directory);
  }
}

// Events were lost. Tops are looked at first, and lead to the others.
void Forest::lose_everything() {
  ++epoch_;
  doubts_.clear();
  doubts_begin_ = ++tick_;
  for (auto& [path, directory] : directories_) {
    if (directory.coverage == Coverage::limited) continue;
    directory.coverage = Coverage::pending;
    directory.visit = 0;
    for (auto& [name, known] : directory.names) known.state = Name::State::unknown;
    const bool is_led_to = directory.parent != nullptr && directory.parent->coverage == Coverage::pending;
    if (!is_led_to) enqueue(directory);
  }
}

// --- What is heard

void Forest::hear(const std::vector<InotifyEvent>& events, std::int64_t now_ms) {
  if (events.empty()) return;
  now_ms_ = now_ms;
  ++tick_;
  for (const auto& event : events) hear(event);
  invalidate_trees();
}

void Forest::hear(const InotifyEvent& event) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) return lose_everything();
  if ((event.mask & IN_IGNORED) != 0) return ended(event.watch);
  const auto found = watches_.find(event.watch);
  if (found == watches_.end()) return;
  if (found->second.size() == 1) return hear(event, Target(found->second.front()));
  // What one of them does about it may take away another.
  const auto targets = found->second;
  for (const Target& target : targets) {
    if (is_linked(event.watch, target)) hear(event, target);
  }
}

void Forest::hear(const InotifyEvent& event, const Target& target) {
  Directory& directory = *target.directory;
  doubt(directory);
  if (target.name != nullptr) {
    directory.changed = tick_;
    directory.names.find(*target.name)->second.changed = tick_;
    changes_.add_file(*directory.path, *target.name);
  } else if (event.name.empty()) {
    hear_itself(directory);
  } else {
    hear_entry(directory, event);
  }
}

// Its times or permissions, or it was moved or removed; of the latter its parent hears, or a look at the
// tops.
void Forest::hear_itself(Directory& directory) {
  directory.changed = tick_;
  invalid_trees_.insert(*directory.path);
  changes_.add_directory(*directory.path);  // what could not be read may be so now
}

void Forest::hear_entry(Directory& directory, const InotifyEvent& event) {
  const bool came = (event.mask & kCame) != 0;
  const bool gone = (event.mask & kGone) != 0;
  const bool is_directory = (event.mask & IN_ISDIR) != 0;
  directory.changed = tick_;
  const bool is_bytecode = event.name.ends_with(".pyc") || event.name == kCacheDirectory;
  if ((event.mask & IN_DELETE) != 0 && is_bytecode) directory.emptied_ms = now_ms_;
  // Of two that are exchanged (renameat2(2)) the second comes before it goes.
  const bool moved_away = (event.mask & IN_MOVED_FROM) != 0;
  const bool name_may_be_there =
      (came && !is_directory) || (moved_away && directory.names.contains(event.name));
  hear_name(directory, event.name, gone && !moved_away, name_may_be_there);
  if (!is_directory || came || gone) changes_.add_file(*directory.path, event.name);
  if (!is_directory && !came && !gone) return;
  const std::string path = path_in(*directory.path, event.name);
  if (!came && !gone) {
    if (find(path) != nullptr) invalid_trees_.insert(path);
    return;
  }
  const bool may_be_there = (is_directory && came) || (moved_away && find(path) != nullptr);
  // One without IN_ISDIR may be a symlink that led to a directory.
  forget_tree(path);
  if (may_be_there && find(path) == nullptr && covers(path)) ensure(path);
}

void Forest::hear_name(Directory& directory, std::string_view name, bool gone, bool came) {
  const auto found = directory.names.find(name);
  if (found != directory.names.end()) {
    found->second.changed = tick_;
    if (!gone && !came) return;
    unlink(found->second.watch, {&directory, &found->first});
    found->second.state = Name::State::unknown;
    if (gone && found->second.held == 0) {
      directory.names.erase(found);
    } else {
      enqueue_look(directory);
    }
    return;
  }
  if (!came || !directory.vouches_for_files() || directory.crowded) return;
  // It may be a symlink, or a second link to a file.
  directory.names[std::string(name)].changed = tick_;
  enqueue_look(directory);
  const auto unheld =
      std::ranges::count_if(directory.names, [](const auto& entry) { return entry.second.held == 0; });
  if (static_cast<std::size_t>(unheld) <= kNames) return;
  std::erase_if(directory.names, [](const auto& entry) { return entry.second.held == 0; });
  directory.crowded = true;
}

// The kernel has removed a watch, for its inode or file system is gone.
void Forest::ended(int watch) {
  const auto found = watches_.find(watch);
  if (found == watches_.end()) return;
  const auto targets = std::move(found->second);
  watches_.erase(found);
  dead_watches_.erase(watch);
  std::vector<std::string> lost;
  for (const auto& [directory, name] : targets) {
    directory->changed = tick_;
    if (name == nullptr) {
      directory->watch = -1;
      lost.push_back(*directory->path);
    } else {
      Name& known = directory->names.find(*name)->second;
      known = {Name::State::unknown, known.held, -1, tick_};
      enqueue_look(*directory);
    }
  }
  for (const auto& path : lost) {
    forget_tree(path);
    if (find(path) == nullptr && covers(path)) ensure(path);  // beneath what was mounted there is another
  }
}

// Whoever may no longer enter a directory reaches nothing below it. Many come at once, as when a tree is
// unpacked and all its directories get their times, so each part of the tree is gone through once.
void Forest::invalidate_trees() {
  const auto invalidate = [&](Directory& directory) {
    directory.since = std::max(directory.since, tick_);
    doubt(directory);
    if (directory.coverage == Coverage::unreadable) enqueue(directory);
    for (auto& [name, known] : directory.names) {
      if (known.state == Name::State::unknown || known.state == Name::State::by_stat) enqueue_look(directory);
      if (known.state == Name::State::by_stat) known.state = Name::State::unknown;
    }
  };
  std::string last;
  for (const auto& path : std::exchange(invalid_trees_, {})) {
    Directory* const directory = find(path);
    // May it still be entered?
    if (directory != nullptr && directory->coverage == Coverage::watched) enqueue(*directory);
    if (!last.empty() && is_below(path, last)) continue;
    last = path;
    if (directory != nullptr) invalidate(*directory);
    const auto [begin, end] = range_below(directories_, path);
    for (auto at = begin; at != end; ++at) invalidate(at->second);
  }
}

void Forest::mounted(const std::string& path) {
  ++tick_;
  Directory* const above = path == "/" ? nullptr : find(directory_of(path));
  forget_tree(path);
  if (above == nullptr) return;
  above->changed = tick_;
  doubt(*above);
  if (find(path) == nullptr && covers(path)) ensure(path);  // a visit tells whether it is one
  if (above->vouches_for_files() || above->names.contains(name_of(path))) {
    Name& name = above->names[std::string(name_of(path))];
    unlink(name.watch, {above, &above->names.find(name_of(path))->first});
    name.state = Name::State::unknown;
    name.changed = tick_;
    enqueue_look(*above);
  }
}

std::vector<Directory*> Forest::tops() const {
  std::vector<Directory*> tops;
  for (Directory* const directory : wanted_) {
    const bool vouched = directory->parent != nullptr && !directory->linked &&
                         directory->parent->coverage == Coverage::watched;
    if (!vouched && may_change(*directory)) tops.push_back(directory);
  }
  return tops;
}

void Forest::top_seen(Directory& top, const PathStatus& status) {
  const bool same = top.watch >= 0 ? status.identity == top.status.identity : status == top.status;
  if (same) return;
  ++tick_;
  forget_tree(std::string(*top.path));
}

// --- What is looked at

std::optional<Forest::Task> Forest::next() {
  while (!look_queue_.empty()) {
    const std::string path = std::move(look_queue_.front());
    look_queue_.pop_front();
    Directory* const directory = find(path);
    if (directory == nullptr || !std::exchange(directory->look_queued, false)) continue;
    if (directory->coverage != Coverage::watched) continue;  // it will be, with its names
    Look look{path, directory->status.identity, {}};
    for (const auto& [name, known] : directory->names) {
      if (known.state == Name::State::unknown) look.items.push_back({name, known.changed, known.held > 0});
    }
    if (!look.items.empty()) return look;
  }
  while (!visit_queue_.empty()) {
    const std::string path = std::move(visit_queue_.front());
    visit_queue_.pop_front();
    Directory* const directory = find(path);
    if (directory == nullptr || !std::exchange(directory->visit_queued, false)) continue;
    directory->visit = ++visits_;
    Visit visit{path, directory->visit, directory->vouches_for_files(), directory->wanted_itself(),
                std::nullopt};
    const Directory* const above = directory->parent;
    if (above != nullptr && above->coverage == Coverage::watched) visit.parent = above->status.identity;
    return visit;
  }
  return std::nullopt;
}

Directory* Forest::of(const Visit& visit) {
  Directory* const directory = find(visit.path);
  return directory != nullptr && directory->visit == visit.number ? directory : nullptr;
}

bool Forest::watched(const Visit& visit, int watch, const PathStatus& status, bool linked) {
  Directory* const directory = of(visit);
  if (directory == nullptr) {
    if (watches_.try_emplace(watch).second) dead_watches_.insert(watch);
    return false;
  }
  if (directory->watch != watch) {
    if (directory->watch >= 0) forget_below(visit.path);  // another directory has come to this path
    unlink(directory->watch, {directory, nullptr});
    directory->watch = watch;
    link(watch, {directory, nullptr});
  }
  directory->status = status;
  directory->linked = linked;
  directory->detail.clear();
  directory->crowded = false;
  directory->since = ++tick_;
  doubt(*directory);
  return true;
}

void Forest::listed(const Visit& visit, const Listing& listing) {
  Directory* const directory = of(visit);
  if (directory == nullptr) return;
  directory->visit = 0;
  directory->coverage = Coverage::watched;
  merge_names(*directory, listing);
  merge_children(*directory, listing);
  doubt(*directory);
  changes_.add_directory(visit.path);
}

// What was heard after the watch began is newer than the listing.
void Forest::merge_names(Directory& directory, const Listing& listing) {
  std::erase_if(directory.names, [&](const auto& entry) {
    return entry.second.held == 0 && entry.second.changed < directory.since;
  });
  for (auto& [name, known] : directory.names) {
    if (known.changed < directory.since) known.state = Name::State::unknown;
  }
  if (!directory.names.empty()) enqueue_look(directory);
  if (listing.by_stat.size() > kNames) {
    directory.crowded = true;
    return;
  }
  for (const auto& name : listing.by_stat) {
    directory.names.try_emplace(name, Name{Name::State::by_stat, 0, -1, directory.since});
  }
}

void Forest::merge_children(Directory& directory, const Listing& listing) {
  std::set<std::string_view> found;
  for (const auto& name : listing.directories) {
    const std::string path = path_in(*directory.path, name);
    found.insert(name);
    Directory* const child = find(path);
    if (child == nullptr) {
      if (covers(path)) ensure(path);
    } else if (child->since < directory.since) {
      enqueue(*child);  // it was looked at when nobody heard what happened to its path
    }
  }
  std::vector<std::string> lost;
  const auto [begin, end] = range_below(directories_, *directory.path);
  for (auto at = begin; at != end; ++at) {
    const bool is_child = at->second.parent == &directory;
    if (is_child && at->second.found < directory.since && !found.contains(name_of(at->first))) {
      lost.push_back(at->first);
    }
  }
  for (const auto& path : lost) forget_tree(path);
}

void Forest::failed(const Visit& visit, Coverage coverage, const PathStatus& status, bool linked,
                    const std::string& detail) {
  Directory* const directory = of(visit);
  if (directory == nullptr) return;
  ++tick_;
  if (coverage == Coverage::limited && directory->covered) limit(visit.path);
  Directory* const left = find(visit.path);
  if (left == nullptr) return;
  forget_tree(visit.path);
  Directory* const kept = coverage == Coverage::missing ? find(visit.path) : &ensure(visit.path);
  if (kept == nullptr) return;
  kept->visit_queued = false;
  kept->visit = 0;
  kept->coverage = coverage;
  kept->since = tick_;
  kept->status = status;
  kept->linked = linked;
  kept->detail = detail;
  doubt(*kept);
}

void Forest::astray(const Visit& visit) {
  const Directory* const directory = of(visit);
  if (directory != nullptr && directory->parent != nullptr) enqueue(*directory->parent);
}

void Forest::astray(const Look& look) {
  Directory* const directory = find(look.path);
  if (directory != nullptr && directory->coverage == Coverage::watched) enqueue(*directory);
}

void Forest::looked(const Look& look, const Look::Item& item, Name::State state, int watch) {
  Directory* const directory = find(look.path);
  const bool wanted = directory != nullptr && directory->coverage == Coverage::watched &&
                      directory->status.identity == look.directory;
  const auto found = wanted ? directory->names.find(item.name) : decltype(directory->names.find(item.name)){};
  const bool stale = !wanted || found == directory->names.end() || found->second.changed != item.changed ||
                     (found->second.held > 0) != item.held;
  if (stale) {
    if (watch >= 0 && watches_.try_emplace(watch).second) dead_watches_.insert(watch);
    if (wanted && found != directory->names.end()) enqueue_look(*directory);
    return;
  }
  Name& name = found->second;
  const Target target{directory, &found->first};
  if (name.watch != watch) {
    unlink(name.watch, target);
    name.watch = watch;
    if (watch >= 0) link(watch, target);
  }
  name.state = state;
  name.changed = ++tick_;
  doubt(*directory);
  if (name.held == 0 && state != Name::State::by_stat) directory->names.erase(found);
}

// --- What is proved

bool Forest::unchanged_since(std::string_view path, Tick tick) const {
  const Directory* const above = find(directory_of(path));
  const Name* const name = above != nullptr ? held_name(*above, path) : nullptr;
  const Directory* const itself = find(path);
  // Where a directory is missing, there may be a file, or come a symlink that leads nowhere: no stat tells it
  // from nothing. So it says nothing about the file of that name.
  const bool is_directory = itself != nullptr && (name == nullptr || itself->coverage == Coverage::watched);
  if (is_directory && is_heard(*itself, tick)) return itself->changed <= tick;
  if (name == nullptr || !is_heard(*above, tick)) return false;
  const bool proved = name->state == Name::State::heard || name->state == Name::State::absent ||
                      above->coverage == Coverage::missing;
  return proved && name->changed <= tick;
}

bool Forest::link_unchanged_since(std::string_view path, Tick tick) const {
  const Directory* const above = find(directory_of(path));
  const Name* const name = above != nullptr ? held_name(*above, path) : nullptr;
  return name != nullptr && is_heard(*above, tick) && name->state == Name::State::link &&
         name->changed <= tick;
}

// Somebody asks. What was crowded when it was listed is so until something is heard of it.
void Forest::look_again_if_crowded(Directory& directory) {
  const bool may_be_other = directory.changed > directory.since;
  if (directory.crowded && directory.coverage == Coverage::watched && may_be_other) enqueue(directory);
}

bool Forest::files_unchanged_since(std::string_view path, Tick tick) {
  Directory* const directory = find(path);
  if (directory == nullptr) {
    // Its absence is an entry of the directory above.
    const Directory* const above = find(directory_of(path));
    const bool is_listed =
        above != nullptr && above->coverage == Coverage::watched && above->visit == 0 && !above->visit_queued;
    return is_listed && covers(std::string(path)) && is_heard(*above, tick) && above->changed <= tick;
  }
  if (!directory->vouches_for_files() || !is_heard(*directory, tick) || directory->changed > tick)
    return false;
  if (directory->coverage == Coverage::missing) return true;
  look_again_if_crowded(*directory);
  return !directory->crowded && directory->names.empty();
}

bool Forest::watches_files_of(std::string_view path) const {
  const Directory* const directory = find(path);
  return directory != nullptr && directory->vouches_for_files();
}

bool Forest::is_missing(std::string_view path) const {
  const Directory* const directory = find(path);
  return directory != nullptr && directory->coverage == Coverage::missing;
}

bool Forest::was_emptied_since(std::string_view path, std::int64_t then_ms) const {
  const Directory* const directory = find(path);
  return directory != nullptr && directory->emptied_ms >= then_ms;
}

// With a tick of its own, so that whoever was told the last one hears of it.
void Forest::doubt(const Directory& directory) {
  ++tick_;
  if (!doubts_.empty() && doubts_.back().second == *directory.path) {
    doubts_.back().first = tick_;
    return;
  }
  doubts_.emplace_back(tick_, *directory.path);
  if (doubts_.size() <= kDoubts) return;
  doubts_begin_ = doubts_.front().first;
  doubts_.pop_front();
}

std::optional<std::vector<std::string>> Forest::doubtful_since(Tick tick) const {
  if (tick < doubts_begin_) return std::nullopt;
  std::vector<std::string> doubtful;
  for (auto at = doubts_.rbegin(); at != doubts_.rend() && at->first > tick; ++at)
    doubtful.push_back(at->second);
  return doubtful;
}

bool Forest::watches_all_below(std::string_view path) const {
  return std::ranges::any_of(roots_, [&](const auto& entry) {
    const auto& [top, root] = entry;
    return !root.limited && root.ignore.empty() && (path == top || is_below(path, top));
  });
}

std::optional<std::vector<std::string>> Forest::tree_unchanged_since(std::string_view path, Tick tick) {
  Directory* const top = find(path);
  if (top == nullptr || !top->covered) return std::nullopt;
  std::vector<std::string> by_stat;
  const auto examine = [&](Directory& directory) {
    if (!directory.covered) return true;
    look_again_if_crowded(directory);
    if (directory.crowded || !is_heard(directory, tick) || directory.changed > tick) return false;
    if (directory.coverage == Coverage::missing) return true;
    for (const auto& [name, known] : directory.names) {
      if (known.state == Name::State::unknown || known.changed > tick) return false;
      if (known.state == Name::State::by_stat || known.state == Name::State::link)
        by_stat.push_back(path_in(*directory.path, name));
    }
    return true;
  };
  bool proved = examine(*top);
  const auto [begin, end] = range_below(directories_, path);
  for (auto at = begin; at != end; ++at) proved = examine(at->second) && proved;
  if (!proved) return std::nullopt;
  return by_stat;
}

}  // namespace kiln
