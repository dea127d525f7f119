// Which directories are watched, what was heard of them, and what that proves. It makes no system call: the
// Watcher brings events and what it saw of directories, and asks what to look at next.
//
// A directory's entry is right as long as it is there: whatever happens to the path that leads to it (a
// directory on the way is moved, removed, replaced, mounted over) takes the entry away with all below it, and
// they are looked at again. So an answer needs no look at the directories above.
//
// What leads to a directory that has a watched parent is heard by the parent. What leads to any other, a
// *top*, has to be looked at by stat before each answer (tops()).
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/watch/changes.h"
#include "daemon/watch/directory.h"
#include "daemon/watch/inotify.h"

namespace kiln {

// To look at a directory: watch it, then list it.
struct Visit {
  std::string path;
  std::uint64_t number = 0;
  bool recursive = false;    // its entries are wanted with their numbers of links
  bool may_be_link = false;  // a symlink is followed
  // Of the watched directory above, in which the name is looked up, whatever its path leads to by now: a tree
  // that is moved away and back between two looks at the tops would seem to have stayed.
  std::optional<Identity> parent;
};

// To look at names in a watched directory.
struct Look {
  struct Item {
    std::string name;
    Tick changed = 0;
    bool held = false;  // to be given a watch
  };
  std::string path;
  Identity directory;
  std::vector<Item> items;
};

struct Listing {
  static constexpr std::size_t kMost = 32;

  std::vector<std::string> directories;
  // Symlinks, files with several links, files of other file systems. kMost + 1 of them stand for any number.
  std::vector<std::string> by_stat;
};

class Forest {
 public:
  using Task = std::variant<Visit, Look>;
  using Directories = std::map<std::string, Directory, std::less<>>;
  struct Root {
    std::vector<std::string> ignore;
    bool limited = false;
  };

  explicit Forest(std::size_t watch_limit) : watch_limit_(watch_limit) {}

  // What is wanted. Paths are absolute and clean (clean_path() in daemon/source_walk.h).
  void add_root(const std::string& path, std::vector<std::string> ignore);
  void remove_root(const std::string& path);
  void add_directory(const std::string& path);
  void remove_directory(const std::string& path);
  // With the files in it, and those in its __pycache__. Not counted.
  void add_files_of(const std::string& path);
  void remove_files_of(const std::string& path);
  void add_file(const std::string& path);
  void remove_file(const std::string& path);

  // What was heard, at NOW_MS by a steady clock.
  void hear(const std::vector<InotifyEvent>& events, std::int64_t now_ms = 0);
  void mounted(const std::string& path);
  // The directories to which no watched parent leads.
  std::vector<Directory*> tops() const;
  // What the path of such a directory leads to now.
  void top_seen(Directory& top, const PathStatus& status);

  // What is to be done next, if anything. Names are before directories: somebody asks for them.
  std::optional<Task> next();
  // Some watches that nobody needs any more; to be removed from the kernel's at once.
  std::vector<int> take_dead_watches();
  bool has_room() const { return watches_.size() < watch_limit_; }
  bool is_beyond_limit() const { return watches_.size() - dead_watches_.size() > watch_limit_; }
  // The directory of VISIT has this watch, and will now be listed. False: it is no longer wanted.
  bool watched(const Visit& visit, int watch, const PathStatus& status, bool linked);
  void listed(const Visit& visit, const Listing& listing);
  // DETAIL says why, for people.
  void failed(const Visit& visit, Coverage coverage, const PathStatus& status, bool linked,
              const std::string& detail);
  // What is above is not what it was, so nothing was seen. It is looked at again first.
  void astray(const Visit& visit);
  void astray(const Look& look);
  // WATCH is that of a name that is `heard`, or a `link`; else -1.
  void looked(const Look& look, const Look::Item& item, Name::State state, int watch);

  // What is proved; see Watcher.
  bool unchanged_since(std::string_view path, Tick tick) const;
  bool link_unchanged_since(std::string_view path, Tick tick) const;
  std::optional<std::vector<std::string>> tree_unchanged_since(std::string_view path, Tick tick);
  bool files_unchanged_since(std::string_view path, Tick tick);
  bool watches_all_below(std::string_view path) const;
  bool watches_files_of(std::string_view path) const;
  bool is_missing(std::string_view path) const;
  bool was_emptied_since(std::string_view path, std::int64_t then_ms) const;
  std::optional<std::vector<std::string>> doubtful_since(Tick tick) const;

  Tick tick() const { return tick_; }
  std::uint64_t epoch() const { return epoch_; }
  std::size_t watches() const { return watches_.size(); }
  bool has_watch(int watch) const { return watches_.contains(watch); }
  std::size_t watch_limit() const { return watch_limit_; }
  void set_watch_limit(std::size_t limit);
  ChangeSet& changes() { return changes_; }
  const std::map<std::string, Root>& roots() const { return roots_; }
  const Directories& directories() const { return directories_; }

 private:
  // Who hears by a watch: a directory, or a name in it. Several, where one inode has several paths.
  struct Target {
    Directory* directory;
    const std::string* name;  // null for the directory itself

    bool operator==(const Target&) const = default;
  };

  bool covers(const std::string& path) const;
  const Directory* find(std::string_view path) const;
  Directory* find(std::string_view path);
  Directory& ensure(const std::string& path);
  void adopt_children(Directory& directory);
  void enqueue(Directory& directory);
  void enqueue_look(Directory& directory);
  void forget_tree(const std::string& path);
  void forget_below(const std::string& path);
  void orphan_children(const Directory& directory);
  void reset(Directory& directory);
  void drop_names(Directory& directory);
  void prune(const std::string& path);
  void retry_limited_directories();
  void retry_limited_roots();
  void limit(const std::string& path);
  void give_up(Directory& directory);
  void release(Directory& directory);
  void doubt(const Directory& directory);
  void look_again_if_crowded(Directory& directory);

  void link(int watch, const Target& target);
  void unlink(int& watch, const Target& target);
  bool is_linked(int watch, const Target& target) const;

  void hear(const InotifyEvent& event);
  void hear(const InotifyEvent& event, const Target& target);
  void hear_itself(Directory& directory);
  void hear_entry(Directory& directory, const InotifyEvent& event);
  void hear_name(Directory& directory, std::string_view name, bool gone, bool came);
  void ended(int watch);
  void lose_everything();
  void invalidate_trees();
  Directory* of(const Visit& visit);
  void merge_names(Directory& directory, const Listing& listing);
  void merge_children(Directory& directory, const Listing& listing);

  std::size_t watch_limit_;
  Tick tick_ = 1;
  std::uint64_t epoch_ = 1;
  std::uint64_t visits_ = 0;
  std::int64_t now_ms_ = 0;
  std::map<std::string, Root> roots_;
  Directories directories_;
  std::set<Directory*> wanted_;  // roots and what is held
  std::unordered_map<int, std::vector<Target>> watches_;
  std::set<int> dead_watches_;
  std::deque<std::string> visit_queue_;
  std::deque<std::string> look_queue_;
  std::set<std::string, std::less<>> invalid_trees_;  // whose permissions may have changed, in this batch
  ChangeSet changes_;
  std::deque<std::pair<Tick, std::string>> doubts_;  // what may no longer be proved, and since when
  Tick doubts_begin_ = 0;                            // they are complete after it
};

}  // namespace kiln
