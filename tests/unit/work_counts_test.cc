#include "daemon/work_counts.h"

#include <gtest/gtest.h>

#include <vector>

#include "daemon/file_result.h"

namespace kiln {
namespace {

FileResult file(FileOutcome outcome, std::uint64_t elapsed_us, std::uint64_t bytes) {
  FileResult result;
  result.outcome = outcome;
  result.elapsed_us = elapsed_us;
  result.source_stamp.size = bytes;
  return result;
}

TEST(WorkCounts, OfAPrecompilation) {
  const std::vector files{file(FileOutcome::compiled, 10, 100), file(FileOutcome::compiled, 30, 200),
                          file(FileOutcome::restored, 1, 50),   file(FileOutcome::fresh, 0, 7),
                          file(FileOutcome::error, 0, 7),       file(FileOutcome::skipped, 0, 7)};
  const WorkCounts expected{{"precompile_compiled", 2}, {"precompile_restored", 1}, {"precompile_fresh", 1},
                            {"precompile_errors", 1},   {"compiled_us", 40},        {"compiled_bytes", 300},
                            {"restored_us", 1},         {"restored_bytes", 50}};
  EXPECT_EQ(work_counts(WorkOf::precompile, files), expected);
}

// Any look in the background finds things fresh, and errors that are known.
TEST(WorkCounts, OfTheBackgroundCountWhatWasDone) {
  const std::vector files{file(FileOutcome::fresh, 0, 7), file(FileOutcome::error, 0, 7),
                          file(FileOutcome::error, 5, 7)};
  EXPECT_EQ(work_counts(WorkOf::background, files), (WorkCounts{{"background_errors", 1}}));
}

}  // namespace
}  // namespace kiln
