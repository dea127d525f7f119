#include "daemon/run_times.h"

#include <utility>

namespace kiln {

bool RunTimes::note(const std::string& executable, const EndedRun& run) {
  Last& last = last_[{executable, run.entry, run.imports_hash}];
  last.ended_ns = run.ended_ns;
  ++last.runs;
  return last_.size() >= kMax;
}

std::vector<RunTime> RunTimes::take() {
  std::vector<RunTime> runs;
  for (auto& [key, last] : std::exchange(last_, {})) {
    const auto& [executable, entry, imports_hash] = key;
    runs.push_back({executable, {entry, imports_hash, last.ended_ns}, last.runs});
  }
  return runs;
}

}  // namespace kiln
