#include "daemon/work_counts.h"

#include "daemon/file_result.h"

namespace kiln {
namespace {

std::string_view word(FileOutcome outcome) {
  switch (outcome) {
    case FileOutcome::compiled:
      return "compiled";
    case FileOutcome::restored:
      return "restored";
    case FileOutcome::fresh:
      return "fresh";
    case FileOutcome::error:
      return "errors";
    case FileOutcome::skipped:
      break;
  }
  return {};
}

}  // namespace

WorkCounts work_counts(WorkOf whose, std::span<const FileResult> files) {
  WorkCounts counts;
  const std::string prefix = whose == WorkOf::precompile ? "precompile_" : "background_";
  for (const auto& file : files) {
    const std::string name(word(file.outcome));
    const bool is_made = file.outcome == FileOutcome::compiled || file.outcome == FileOutcome::restored;
    // An error that was known took no time.
    const bool is_look = whose == WorkOf::background && !is_made && file.elapsed_us == 0;
    if (name.empty() || is_look) continue;
    ++counts[prefix + name];
    if (!is_made) continue;
    counts[name + "_us"] += file.elapsed_us;
    counts[name + "_bytes"] += file.source_stamp.size;
  }
  return counts;
}

}  // namespace kiln
