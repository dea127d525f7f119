#include "daemon/watched_root.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

std::string covering(const WatchedRoots& roots, const std::string& path) {
  const auto* root = roots.covering(path);
  return root != nullptr ? root->path : "none";
}

TEST(WatchedRoot, HoldsWhatLiesInIt) {
  const WatchedRoot root{.path = "/app", .ignore = {"build", "/gen/*"}};
  EXPECT_TRUE(root.covers("/app"));
  EXPECT_TRUE(root.covers("/app/a/b.py"));
  EXPECT_FALSE(root.holds("/apple"));
  EXPECT_FALSE(root.holds("/"));
  EXPECT_TRUE(root.holds("/app/a/build/b.py"));
  EXPECT_FALSE(root.covers("/app/a/build/b.py"));
  EXPECT_FALSE(root.covers("/app/gen/b.py"));
  EXPECT_TRUE(root.covers("/app/a/gen/b.py"));
}

TEST(WatchedRoots, TheInnermostDecides) {
  WatchedRoots roots;
  EXPECT_EQ(covering(roots, "/app"), "none");
  roots.add({.path = "/app", .policy = "all"});
  roots.add({.path = "/app/vendor/lib", .ignore = {"tests"}});
  EXPECT_EQ(covering(roots, "/app/vendor/a.py"), "/app");
  EXPECT_EQ(covering(roots, "/app/vendor/lib"), "/app/vendor/lib");
  EXPECT_EQ(covering(roots, "/app/vendor/lib/b.py"), "/app/vendor/lib");
  EXPECT_EQ(covering(roots, "/app/vendor/library"), "/app");
  EXPECT_EQ(covering(roots, "/app/vendor/lib/tests/b.py"), "none") << "the innermost leaves it out";
  EXPECT_EQ(covering(roots, "/other"), "none");
  EXPECT_EQ(covering(roots, "/"), "none");
  roots.remove("/app/vendor/lib");
  EXPECT_EQ(covering(roots, "/app/vendor/lib/tests/b.py"), "/app");
}

TEST(WatchedRoots, TheWholeSystemMayBeOne) {
  WatchedRoots roots;
  roots.add({.path = "/", .ignore = {"/proc"}});
  EXPECT_EQ(covering(roots, "/"), "/");
  EXPECT_EQ(covering(roots, "/a/b"), "/");
  EXPECT_EQ(covering(roots, "/proc/1"), "none");
}

TEST(WatchedRoots, SayWhatLeavesAPathOut) {
  WatchedRoots roots;
  roots.add({.path = "/app", .ignore = {"old_*.py", "/gen"}});
  EXPECT_EQ(roots.why_left_out("/app/old_a.py"), "watch.ignore of /app has old_*.py");
  EXPECT_EQ(roots.why_left_out("/app/gen/deep/a.py"), "watch.ignore of /app has /gen");
  EXPECT_EQ(roots.why_left_out("/app/node_modules/a.py"),
            "below /app, what is in a directory called node_modules is left out");
  EXPECT_EQ(roots.why_left_out("/app/a.py"), "");
  EXPECT_EQ(roots.why_left_out("/other/gen/a.py"), "");
}

TEST(WatchedRoots, SayWhereAllMayBeKept) {
  WatchedRoots roots;
  roots.add({.path = "/app"});
  EXPECT_FALSE(roots.may_keep_all("/app"));
  roots.add({.path = "/app/all", .policy = "all"});
  EXPECT_TRUE(roots.may_keep_all("/"));
  EXPECT_TRUE(roots.may_keep_all("/app"));
  EXPECT_TRUE(roots.may_keep_all("/app/all/a.py"));
  EXPECT_FALSE(roots.may_keep_all("/app/other"));
}

}  // namespace
}  // namespace kiln
