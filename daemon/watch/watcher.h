// Watches directories, so that others need not look at files whose changes it would have heard of.
//
// inotify(7) queues an event inside the system call that makes the change. So whoever has read the queue
// knows of every change that was finished before: drain() does that, and returns a *tick*. A caller that
// drains, reads files, and remembers the tick can ask later, after another drain(), whether a file is proved
// to be the same since. The answer is no unless everything is certain; then the caller looks by stat.
//
// What events cannot tell, and how it is met:
// - Of a file that is written through a link in another directory, or gets such a link, its directory hears
//   nothing (tried: link(2) makes an event for the inode's own watch alone). So a file is proved only while
//   it is *held* (add_file): it then has a watch of its own, which hears every link.
// - Behind a symlink anything may change. A directory that is wanted for itself may be reached through one,
//   and is then looked at by stat at each drain(); of a file that is one only the link itself is proved, by a
//   question of its own.
// - What leads to a directory may be replaced, or mounted over: a directory's parent hears the former; where
//   none is watched, drain() looks by stat. Mounts show in the mount table.
// - Changes on network, overlay and FUSE file systems are not all heard: nothing on them is watched or
// proved.
// - Stores through a shared mapping are heard when the file is closed, at the earliest; not before (mmap(2)).
//
// The kernel's queue may overflow. Then a new epoch begins, in which nothing is proved before it was looked
// at again.
//
// Directories are kept, files are not, but for those that are held. Everything that may take long is done on
// a thread of its own, which has low priority and takes the lock for one directory at a time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/unique_fd.h"
#include "daemon/watch/changes.h"
#include "daemon/watch/forest.h"
#include "daemon/watch/inotify.h"
#include "daemon/watch/mount_table.h"
#include "daemon/watch/sight.h"

namespace kiln {

enum class RootState : std::uint8_t {
  crawling,  // not all of it is watched yet
  watching,
  by_stat,  // it cannot be watched
  missing,  // it will be, when it is there
};

struct RootReport {
  std::string path;
  RootState state = RootState::crawling;
  std::string reason;  // why by_stat: "nfs file system", "no watch is left: ..."
  std::string hint;    // the command that helps, or empty
  std::size_t directories = 0;
  std::vector<std::string>
      unwatched;  // a few directories below it that cannot be watched, each with the reason
};

struct WatchReport {
  std::vector<RootReport> roots;
  std::size_t directories = 0;  // all that are known, those that are watched for themselves among them
  std::size_t held_files = 0;
  std::size_t watches = 0;
  std::size_t watch_limit = 0;  // our own
  std::uint64_t epoch = 1;      // less one: how often the queue has overflowed
};

struct WatcherOptions {
  std::size_t watch_limit = 0;  // 0: half of what the kernel grants the user, for others watch as well
  KindOfFileSystem kind = file_system_kind;
  // How soon it is noticed, while nobody asks, that what leads to a root is another, which makes no event.
  std::chrono::milliseconds look_at_tops{2000};
};

// Thread-safe. Paths are absolute; they are cleaned as of clean_path(), and mean what is spelled: a root that
// is a symlink proves what is asked for through it.
class Watcher {
 public:
  explicit Watcher(WatcherOptions options = {});
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // A directory with all below it, but for what source_walk.h skips (__pycache__ is watched) and what IGNORE
  // excludes: patterns as of walk_sources(). It may not be there yet. Added again, it has the new patterns.
  // These return before anything is watched.
  void add_root(const std::string& path, const std::vector<std::string>& ignore = {});
  void remove_root(const std::string& path);
  // One directory, and never below it. Counted: as many removes as adds.
  void add_directory(const std::string& path);
  void remove_directory(const std::string& path);
  // One directory with the files in it and in its __pycache__, of which files_unchanged_since() tells, as if
  // a root covered it. Not counted.
  void add_files_of(const std::string& path);
  void remove_files_of(const std::string& path);
  // A file that is there or not, with its directory: only such files are proved. Costs a watch. Counted.
  void add_file(const std::string& path);
  void remove_file(const std::string& path);

  // Reads every event that was in the kernel's queue, looks whether what leads to the watched directories is
  // the same, and returns the present tick. Every change that was finished before the call is known then.
  // Costs some system calls, never waits for a crawl; where nothing happened, a poll and a stat for each
  // directory without a watched parent.
  Tick drain();

  // True only if PATH is proved to be as it was after the drain() that returned TICK: for a file that is
  // held, that it is the same file, unchanged, or still absent; for a directory, that its entries are (what
  // happens inside of subdirectories is not meant). Takes a look-up. If drain() returns the TICK at which all
  // was proved, nothing needs to be asked.
  bool unchanged_since(std::string_view path, Tick tick) const;
  // The same of a symlink that is held as a file: that it is that link, whatever it leads to.
  bool link_unchanged_since(std::string_view path, Tick tick) const;
  // The same for all below a directory that a root covers, except what the root ignores and the files that
  // are returned: symlinks and files with several links, to be looked at by stat. Nothing: not proved. Time
  // goes with the number of directories. Not heard, for files that are not held: writing through a link that
  // was made elsewhere after they were listed.
  std::optional<std::vector<std::string>> tree_unchanged_since(std::string_view path, Tick tick);

  // The same for one directory that a root covers, or that was added with its files, and the files in it,
  // when none of them has to be looked at by stat; for what lies below it nothing is said.
  bool files_unchanged_since(std::string_view path, Tick tick);
  // A root covers it, or it was added with its files.
  bool watches_files_of(std::string_view path) const;
  // The directories of which files_unchanged_since(), or of which or of whose files unchanged_since(), may
  // say another thing than when drain() returned TICK, in no order, perhaps several times. Nothing: any. So
  // who remembers what was proved of what is held need not ask again for the others.
  std::optional<std::vector<std::string>> doubtful_since(Tick tick) const;
  // Whether bytecode was removed beside the file PYC within the last moment, as by `rm -r`, which fails if a
  // new file comes to lie there meanwhile. Reads the queue.
  bool is_being_removed(std::string_view pyc);
  // A hint that nobody has heard.
  void hint(const std::string& path);
  // It is to be watched, and not there.
  bool is_missing(std::string_view path) const;
  // Whether a root covers PATH that ignores nothing.
  bool watches_all_below(std::string_view path) const;

  // Readable when there are changes; for poll(2) only.
  int changes_fd() const { return changes_fd_.get(); }
  // Hints for whoever compiles, gathered since the last call. Directories come when they are watched, so what
  // happens after they were looked at makes another hint. Also names what was found by crawling a root for
  // the first time.
  Changes take_changes();

  // Why changes in DIRECTORY are not heard, for people. Empty: they are, or nobody wants them, or it is not
  // there, or yet to be looked at.
  std::string why_unheard(const std::string& directory) const;
  WatchReport describe() const;

  // Waits until all that was known to be looked at has been. For tests, and for whoever wants a full answer.
  // False: it was not within TIMEOUT.
  bool wait_until_settled(std::chrono::milliseconds timeout) const;
  // Whether all that was known to be looked at has been. If not, changes_fd() becomes readable when it has.
  bool is_settled();

  // As of WatcherOptions. Roots that have no room any more are given up, those that have now are watched.
  void set_watch_limit(std::size_t limit);

 private:
  void hear();
  void hear_events();
  void look_at_tops();  // by stat, each
  void signal_changes();
  void wake();
  template <class Change>
  void update(const std::string& path, Change change);

  // On the thread.
  void run(const std::stop_token& stop);
  bool work();
  void look_at(const Visit& visit);
  void look_at(const Look& look);
  bool await_arrivals();
  void wait_for_event();

  RootReport describe_root(const std::string& path, const Forest::Root& root) const;
  bool is_own_limit() const;  // less than the kernel's
  std::string limit_reason() const;

  const std::chrono::milliseconds look_at_tops_;
  const KindOfFileSystem kind_;
  const InotifyLimits limits_;

  mutable std::mutex mutex_;  // of all that follows, up to the descriptors; held for short times only
  mutable std::condition_variable settled_;
  Inotify inotify_;  // watches are added and removed by the thread alone, without the lock
  MountTable mounts_;
  Forest forest_;
  bool busy_ = true;  // the thread has something to do
  bool tell_settled_ = false;

  UniqueFd changes_fd_;  // eventfd(2)
  UniqueFd wake_fd_;
  std::set<int> arrivals_;  // on the thread: watches of directories on the way to what is missing
  std::jthread thread_;
};

}  // namespace kiln
