// The daemon's log: a file and those that it became by rotation, CACHE/kilnd.log, kilnd.1.log, kilnd.2.log,
// the newest first.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "common/result.h"

namespace kiln {

class DaemonLog {
 public:
  // With AS_JSON what is printed is an object for each line (client/log_line.h).
  explicit DaemonLog(const std::string& cache_dir, bool as_json = false);

  // Prints the last LINES of what is there, or all, the oldest first. Fails with Reason::not_found if there
  // is no log.
  Result<void> print(std::optional<std::size_t> lines) const;

  // The same, then what is added, over any rotation, until nobody reads it. It awaits events of the
  // directory.
  Result<void> follow(std::optional<std::size_t> lines) const;

 private:
  std::string directory_;
  std::string path_;
  bool as_json_;
};

}  // namespace kiln
