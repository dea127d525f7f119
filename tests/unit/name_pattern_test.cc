#include "common/name_pattern.h"

#include <gtest/gtest.h>

#include <array>

namespace kiln {
namespace {

constexpr std::array<std::string_view, 2> kPatterns{"LANG", "LC_*"};

TEST(NamePattern, ANameStandsForItselfOnly) {
  EXPECT_TRUE(matches_any("LANG", kPatterns));
  EXPECT_FALSE(matches_any("LANGUAGE", kPatterns));
  EXPECT_FALSE(matches_any("LAN", kPatterns));
  EXPECT_FALSE(matches_any("", kPatterns));
}

TEST(NamePattern, AStarStandsForAnyEndAndForNone) {
  EXPECT_TRUE(matches_any("LC_ALL", kPatterns));
  EXPECT_TRUE(matches_any("LC_", kPatterns));
  EXPECT_FALSE(matches_any("LC", kPatterns));
  EXPECT_FALSE(matches_any("XLC_ALL", kPatterns));
}

TEST(NamePattern, AStarElsewhereIsAStar) {
  EXPECT_TRUE(matches("A*B", "A*B"));
  EXPECT_FALSE(matches("A-B", "A*B"));
}

TEST(NamePattern, NothingMatchesNoPatterns) {
  EXPECT_FALSE(matches_any("LANG", {}));
}

}  // namespace
}  // namespace kiln
