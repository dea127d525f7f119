// Of which directories of sources it is proved that they are as they were when all of their entries in the
// index had been looked at.
#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/watch/watcher.h"

namespace kiln {

// Belongs to the index's thread.
class DirectoryProofs {
 public:
  explicit DirectoryProofs(Watcher& watcher) : watcher_(watcher) {}

  // There is an entry of a source in DIRECTORY with bytecode in PLACE that was not looked at.
  void note(const std::string& directory, const std::string& place);

  // All hold. NOW: what Watcher::drain() has just returned.
  bool hold(Tick now) const { return now == closed_ && open_.empty(); }
  // All that are known but these are proved.
  std::vector<std::string> to_look_at() const;
  // They have been, after NOW. Returns those that need not be looked at if their files were watched.
  std::vector<std::string> looked_at(const std::vector<std::string>& directories, Tick now);

  std::size_t size() const { return directories_.size(); }

 private:
  bool is_proved(const std::string& directory, Tick since) const;

  Watcher& watcher_;
  std::unordered_map<std::string, Tick> directories_;  // when they were looked at; 0: never
  // Of these it was not proved, at CLOSED_, that they are as they were looked at. Of the others it was, so
  // that it is asked again only when something was heard of them.
  std::set<std::string> open_;
  Tick closed_ = 0;
  std::set<std::string> elsewhere_;  // directories whose bytecode, or some of it, does not lie in them
};

}  // namespace kiln
