#include "common/suggestion.h"

#include <gtest/gtest.h>

#include <array>

namespace kiln {
namespace {

constexpr std::array<std::string_view, 4> kNames{"images.limit", "store.limit", "watch.limit", "log.level"};

TEST(Suggestion, IsTheNearestName) {
  EXPECT_EQ(suggestion_for("images.limt", kNames), "images.limit");
  EXPECT_EQ(suggestion_for("image.limit", kNames), "images.limit");
  EXPECT_EQ(suggestion_for("watch.lmiit", kNames), "watch.limit");
  EXPECT_EQ(suggestion_for("log.lvl", kNames), "log.level");
  EXPECT_EQ(suggestion_for("store.limit", kNames), "store.limit");
}

TEST(Suggestion, IsNoneWhereNothingIsNear) {
  EXPECT_EQ(suggestion_for("colour", kNames), std::nullopt);
  EXPECT_EQ(suggestion_for("", kNames), std::nullopt);
  EXPECT_EQ(suggestion_for("log.level", {}), std::nullopt);
}

TEST(Suggestion, EndsASentence) {
  EXPECT_EQ(did_you_mean("log.lvl", kNames), "; did you mean log.level?");
  EXPECT_EQ(did_you_mean("colour", kNames), "");
}

}  // namespace
}  // namespace kiln
