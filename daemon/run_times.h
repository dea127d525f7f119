// When programs ran last, and how often, gathered in memory: a run whose imports are recorded costs the
// daemon no write, and many of them one transaction.
//
// Whoever reads the record has them written first; so do a timer and the daemon's end. A daemon that is
// killed loses those since the timer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "daemon/index.h"

namespace kiln {

class RunTimes {
 public:
  static constexpr std::size_t kMax = 4'096;

  // True: there are as many as it holds, so take() them now.
  bool note(const std::string& executable, const EndedRun& run);

  // All that were noted since the last call: each program with each set of imports once, at its last time,
  // with the number of its runs.
  std::vector<RunTime> take();

 private:
  using Key = std::tuple<std::string, std::string, std::uint64_t>;  // executable, entry, imports' hash
  struct Last {
    std::int64_t ended_ns = 0;
    std::uint64_t runs = 0;
  };
  std::map<Key, Last> last_;
};

}  // namespace kiln
