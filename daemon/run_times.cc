#include "daemon/run_times.h"

#include <utility>

namespace kiln {

bool RunTimes::note(const std::string& executable, const EndedRun& run) {
  ended_ns_[{executable, run.entry, run.imports_hash}] = run.ended_ns;
  return ended_ns_.size() >= kMax;
}

std::vector<RunTime> RunTimes::take() {
  std::vector<RunTime> runs;
  for (auto& [key, ended_ns] : std::exchange(ended_ns_, {})) {
    const auto& [executable, entry, imports_hash] = key;
    runs.push_back({executable, {entry, imports_hash, ended_ns}});
  }
  return runs;
}

}  // namespace kiln
