// What is known of one watched directory.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace kiln {

// Counts what was heard and learned, in the order in which the daemon did: what happens after a tick was
// returned gets a larger one. Starts at 1; 0 is before everything.
using Tick = std::uint64_t;

struct Identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

  bool operator==(const Identity&) const = default;
};

// What a path leads to, symlinks followed. All zero: nothing.
struct PathStatus {
  Identity identity;
  std::int64_t changed_ns = 0;  // ctime, since the epoch

  bool operator==(const PathStatus&) const = default;
};

enum class Coverage : std::uint8_t {
  pending,     // not yet looked at, or to be looked at again
  watched,     // every change is heard
  missing,     // nothing is there, or no directory
  unreadable,  // no permission
  untrusted,   // a file system whose changes are not all heard
  limited,     // no watch is left
  failed,      // anything else
};

// A name that is held (Watcher::add_file), or one that events on the directory do not vouch for: they are not
// heard where a file is written to through a link in another directory, nor behind a symlink.
struct Name {
  enum class State : std::uint8_t {
    unknown,  // something happened; it will be looked at
    absent,
    heard,    // a regular file, with a watch of its own
    link,     // a symlink with one: itself, not what it leads to
    by_stat,  // anything else
  };
  State state = State::unknown;
  std::uint32_t held = 0;
  int watch = -1;
  Tick changed = 0;  // when something was last heard of it, or it was looked at
};

struct Directory {
  const std::string* path = nullptr;  // its key
  Directory* parent = nullptr;        // the directory above, if that is known
  bool root = false;
  bool covered = false;  // by a root: all below it is watched, too
  bool listed = false;   // held with the files in it
  bool linked = false;   // reached through a symlink, so what is above does not vouch for it
  bool crowded = false;  // with more names that events do not vouch for than are kept
  bool visit_queued = false;
  bool look_queued = false;
  Coverage coverage = Coverage::pending;
  std::uint32_t held = 0;
  int watch = -1;
  std::uint64_t visit = 0;      // the visit under way, if its result is still wanted
  Tick found = 0;               // when it was heard or learned of
  Tick since = 0;               // from when on all is heard
  std::int64_t emptied_ms = 0;  // when bytecode in it, or its __pycache__, was removed last; 0: never
  Tick changed = 0;             // the last event about its entries or itself, or when it was made crowded
  PathStatus status;            // as it was when it was looked at
  std::string detail;           // why it is not watched
  std::map<std::string, Name, std::less<>> names;

  bool wanted_itself() const { return root || held > 0; }
  bool vouches_for_files() const { return covered || listed; }
};

}  // namespace kiln
