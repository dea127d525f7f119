// Which of the index's entries have to be looked at before a question is answered. Without a watcher all of
// them; with one, not those in directories that are proved to be as they were.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "common/result.h"
#include "daemon/directory_proofs.h"
#include "daemon/file_result.h"
#include "daemon/index.h"
#include "daemon/watch/watcher.h"

namespace kiln {

// Belongs to the index's thread.
class IndexRefresh {
 public:
  // WATCHER outlives this; null: there is none.
  explicit IndexRefresh(Watcher* watcher);

  // Told of directories whose entries had to be looked at, though they need not be if their files were
  // watched.
  std::function<void(std::vector<std::string>)> on_unwatched;

  // Every change that was finished before the call is in INDEX afterwards, unless STOP came first.
  Result<void> refresh(Index& index, const std::stop_token& stop);
  // The same of what was recorded since then: it may have been so a moment before that, and not any more.
  Result<void> refresh_recorded(Index& index, const std::stop_token& stop);
  // INDEX knows all that was misleading before the call (Index::find_misleading), unless STOP came first.
  Result<void> find_misleading(Index& index, const std::stop_token& stop);

  // These were just recorded.
  void note(std::span<const FileResult> files);

 private:
  template <class Look>
  Result<void> look(Index& index, DirectoryProofs& proofs, const std::stop_token& stop, Look look);
  Result<void> complete(Index& index);
  void note(const std::string& source, const std::string& pyc);

  struct Proofs {
    DirectoryProofs refreshed;
    DirectoryProofs settled;
  };

  Watcher* watcher_;
  std::optional<Proofs> proofs_;    // none without a watcher
  std::set<std::string> recorded_;  // directories of sources that were recorded since the last refresh
  bool is_complete_ = false;        // every directory of a source in the index is known to them
};

}  // namespace kiln
