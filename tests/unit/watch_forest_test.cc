// The watch engine's book-keeping, driven step by step: what a thread would meet by chance alone.
#include <gmock/gmock.h>

#include "daemon/watch/forest.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr PathStatus kSomething{{1, 2}, 3};

Visit next_visit(Forest& forest) {
  const auto task = forest.next();
  return task && std::holds_alternative<Visit>(*task) ? std::get<Visit>(*task) : Visit{};
}

std::vector<std::string> top_paths(const Forest& forest) {
  std::vector<std::string> paths;
  for (const Directory* top : forest.tops()) paths.push_back(*top->path);
  return paths;
}

TEST(Forest, ARootThatIsRemovedLeavesNothing) {
  Forest forest(100);
  forest.add_root("/r", {});
  forest.failed(next_visit(forest), Coverage::missing, {}, false, "");
  ASSERT_THAT(top_paths(forest), ElementsAre("/r"));
  forest.remove_root("/r");
  EXPECT_TRUE(forest.directories().empty());
  EXPECT_THAT(top_paths(forest), IsEmpty());
}

TEST(Forest, ARootThatIsHeldStaysUntilItIsNot) {
  Forest forest(100);
  forest.add_root("/r", {});
  forest.add_directory("/r");
  forest.failed(next_visit(forest), Coverage::missing, {}, false, "");
  forest.remove_root("/r");
  EXPECT_THAT(top_paths(forest), ElementsAre("/r"));
  forest.remove_directory("/r");
  EXPECT_TRUE(forest.directories().empty());
  EXPECT_THAT(top_paths(forest), IsEmpty());
}

// It may be another when its path changes, and nobody tells of it.
TEST(Forest, ARootThatCannotBeListedIsLookedAtWhenItChanges) {
  Forest forest(100);
  forest.add_root("/r", {});
  const Visit visit = next_visit(forest);
  ASSERT_TRUE(forest.watched(visit, 1, kSomething, false));
  forest.failed(visit, Coverage::failed, kSomething, false, "Input/output error");
  EXPECT_FALSE(forest.next());
  ASSERT_THAT(top_paths(forest), ElementsAre("/r"));
  forest.top_seen(*forest.tops().front(), kSomething);
  EXPECT_FALSE(forest.next());
  forest.top_seen(*forest.tops().front(), {{1, 2}, 4});
  EXPECT_EQ(next_visit(forest).path, "/r");
}

// A tree may be moved away and back while nobody looks: what was seen below it meanwhile was elsewhere.
TEST(Forest, WhatIsAboveIsLookedAtAgainWhereItIsNotWhatItWas) {
  Forest forest(100);
  forest.add_root("/r", {});
  const Visit root = next_visit(forest);
  EXPECT_FALSE(root.parent);
  ASSERT_TRUE(forest.watched(root, 1, kSomething, false));
  forest.listed(root, {{"a"}, {}});
  const Visit below = next_visit(forest);
  EXPECT_EQ(below.path, "/r/a");
  EXPECT_EQ(below.parent, kSomething.identity);
  forest.astray(below);
  const Visit again = next_visit(forest);
  EXPECT_EQ(again.path, "/r");
  ASSERT_TRUE(forest.watched(again, 1, kSomething, false));
  forest.listed(again, {{"a"}, {}});
  EXPECT_EQ(next_visit(forest).path, "/r/a");
}

}  // namespace
}  // namespace kiln
