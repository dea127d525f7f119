// Which of the index's entries have to be looked at before a question is answered. Without a watcher all of
// them; with one, not those in directories that are proved to be as they were.
#pragma once

#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <unordered_map>

#include "common/result.h"
#include "daemon/file_result.h"
#include "daemon/index.h"
#include "daemon/watch/watcher.h"

namespace kiln {

// Belongs to the index's thread.
class IndexRefresh {
 public:
  // WATCHER outlives this; null: there is none.
  explicit IndexRefresh(Watcher* watcher) : watcher_(watcher) {}

  // Every change that was finished before the call is in INDEX afterwards, unless STOP came first.
  Result<void> refresh(Index& index, const std::stop_token& stop);

  // These were just recorded.
  void note(std::span<const FileResult> files);

 private:
  void note(const std::string& source, const std::string& pyc);
  bool is_proved(const std::string& directory, Tick since) const;

  Watcher* watcher_;
  bool is_complete_ = false;  // every directory of a source in the index is known
  // By directory of sources: when all of its entries had been looked at; 0: never.
  std::unordered_map<std::string, Tick> directories_;
  Tick all_proved_ = 0;              // when all of them were; 0: that is not known
  std::set<std::string> elsewhere_;  // directories whose bytecode, or some of it, does not lie in them
};

}  // namespace kiln
