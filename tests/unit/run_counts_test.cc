#include "daemon/run_counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/run_tally.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

TEST(RunCounts, CountsLinesByReason) {
  EXPECT_THAT(count_lines("no-image\nsession\nno-image\n"),
              UnorderedElementsAre(Pair("no-image", 2), Pair("session", 1)));
  EXPECT_THAT(count_lines(""), IsEmpty());
  EXPECT_THAT(count_lines("\n\nnonsense\nno-im"), IsEmpty()) << "the end of a torn line is no reason";
}

TEST(RunTally, IsTakenOnce) {
  const Scratch scratch;
  tally_run(scratch.path(), Reason::no_image);
  tally_run(scratch.path(), Reason::session);
  EXPECT_EQ(take_tally(scratch.path()), "no-image\nsession\n");
  EXPECT_EQ(take_tally(scratch.path()), "");
  tally_run(scratch.path(), Reason::session);
  EXPECT_EQ(take_tally(scratch.path()), "session\n");
}

TEST(RunTally, StaysOutOfPlacesThatOthersWrite) {
  const Scratch scratch;
  tally_run(scratch.path() + "/missing", Reason::session);
  ASSERT_EQ(::chmod(scratch.path().c_str(), 0777), 0);
  tally_run(scratch.path(), Reason::session);
  EXPECT_NE(::access((scratch.path() + "/executed-runs").c_str(), F_OK), 0);
}

TEST(RunTally, HasALimit) {
  const Scratch scratch;
  const std::string path = scratch.path() + "/executed-runs";
  { std::ofstream(path) << std::string(kMaxTally + 1, '\n'); }
  tally_run(scratch.path(), Reason::session);
  EXPECT_EQ(std::filesystem::file_size(path), kMaxTally + 1);
}

}  // namespace
}  // namespace kiln
