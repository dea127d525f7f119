#include "common/path_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> below(const std::string& directory, const std::string& glob,
                               const std::string& base) {
  return patterns_below(directory, {{glob, base}});
}

TEST(PathPattern, ANameIsMeantAtAnyDepth) {
  EXPECT_THAT(below("/p/src", "build", "/p"), ElementsAre("build"));
  EXPECT_THAT(below("/elsewhere", "*.tmp", ""), ElementsAre("*.tmp"));
}

TEST(PathPattern, AWayWithoutABaseBeginsAtTheWalkedDirectory) {
  EXPECT_THAT(below("/p/src", "gen/*.py", ""), ElementsAre("gen/*.py"));
}

TEST(PathPattern, AWayBeginsAtItsBase) {
  EXPECT_THAT(below("/p", "src/gen/*.py", "/p"), ElementsAre("/src/gen/*.py"));
  EXPECT_THAT(below("/p", "/src", "/p"), ElementsAre("/src"));
  EXPECT_THAT(below("/p/src", "src/gen/*.py", "/p"), ElementsAre("/gen/*.py"));
  EXPECT_THAT(below("/p/src/gen", "src/gen/*.py", "/p"), ElementsAre("/*.py"));
  EXPECT_THAT(below("/p/src/gen", "s*/[fg]en/*.py", "/p"), ElementsAre("/*.py"));
  EXPECT_THAT(below("/p", "p/x", "/"), ElementsAre("/x"));
  EXPECT_THAT(below("/", "p/x", "/"), ElementsAre("/p/x"));
}

TEST(PathPattern, ASlashAtTheEndDoesNotCount) {
  EXPECT_THAT(below("/p/src", "build/", "/p"), ElementsAre("build"));
  EXPECT_THAT(below("/p", "src/gen//", "/p"), ElementsAre("/src/gen"));
  EXPECT_THAT(below("/p/src/gen", "src/gen/", "/p"), IsEmpty());
  EXPECT_THAT(below("/p", "gen/x/", ""), ElementsAre("gen/x"));
  EXPECT_THAT(below("/p", "/", "/p"), IsEmpty());
}

TEST(PathPattern, AWayToOtherPlacesIsDropped) {
  EXPECT_THAT(below("/p/lib", "src/gen/*.py", "/p"), IsEmpty());
  EXPECT_THAT(below("/q", "src/x", "/p"), IsEmpty());
  EXPECT_THAT(below("/pq/src", "src/x", "/p"), IsEmpty());
}

TEST(PathPattern, WhoeverNamesADirectoryMeansIt) {
  EXPECT_THAT(below("/p/src/gen", "src/gen", "/p"), IsEmpty());
  EXPECT_THAT(below("/p/src/gen/deep", "src/gen", "/p"), IsEmpty());
}

TEST(MatchesAny, MeansFilesAndAllBelowDirectories) {
  const std::vector<PathPattern> patterns{
      {"never.py", ""}, {"scripts/*.py", "/p"}, {"gen/", "/p"}, {"/abs/x", ""}};
  for (const char* path :
       {"/a/never.py", "/p/scripts/a.py", "/p/gen/deep/a.py", "/q/gen/a.py", "/abs/x/y.py"})
    EXPECT_TRUE(matches_any(patterns, path)) << path;
  for (const char* path : {"/a/never.pyx", "/q/scripts/a.py", "/p/scripts/deep/a.py", "/abs/xy/y.py", ""})
    EXPECT_FALSE(matches_any(patterns, path)) << path;
}

}  // namespace
}  // namespace kiln
