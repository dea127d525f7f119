#include "daemon/settings.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/unit/scratch.h"

namespace kiln {
namespace {

class SettingsTest : public testing::Test {
 protected:
  proto::RunRequest run(const std::string& place, const std::vector<std::string>& environment = {}) {
    proto::RunRequest request;
    request.set_place(place);
    for (const auto& variable : environment) request.add_environment(variable);
    request.add_environment("KILN_CONFIG=" + user_);
    return request;
  }

  Scratch scratch_;
  std::string user_ = scratch_ / "user.toml";
  Settings settings_{
      [this](const char* name) { return std::string_view(name) == "KILN_CONFIG" ? user_.c_str() : nullptr; }};
};

TEST_F(SettingsTest, AreReadAgainOnRequest) {
  EXPECT_EQ(settings_.config().images_limit, 64U);
  scratch_.write("user.toml", "images.limit = 3\n");
  EXPECT_EQ(settings_.config().images_limit, 64U);
  settings_.reload();
  EXPECT_EQ(settings_.config().images_limit, 3U);
  EXPECT_FALSE(settings_.error());
}

TEST_F(SettingsTest, AfterAMistakeWhatHeldBeforeStillHolds) {
  scratch_.write("user.toml", "images.limit = 3\n");
  settings_.reload();
  scratch_.write("user.toml", "images.limit = 4\nimages.limt = 5\n");
  settings_.reload();
  EXPECT_EQ(settings_.config().images_limit, 3U);
  ASSERT_TRUE(settings_.error());
  EXPECT_EQ(settings_.error()->message, user_ + ":2: unknown key images.limt; did you mean images.limit?");
  scratch_.write("user.toml", "");
  settings_.reload();
  EXPECT_FALSE(settings_.error());
  EXPECT_EQ(settings_.config().images_limit, 64U);
}

TEST_F(SettingsTest, OfARunAreItsProjectsAndItsEnvironments) {
  scratch_.write("p/kiln.toml", "images.enabled = false\n");
  EXPECT_FALSE(settings_.of(run(scratch_ / "p/src/x.py"))->images_enabled);
  EXPECT_FALSE(settings_.of(run(scratch_ / "q/../p/./x.py"))->images_enabled);
  EXPECT_TRUE(settings_.of(run(scratch_ / "q/x.py"))->images_enabled);
  EXPECT_TRUE(settings_.of(run(""))->images_enabled);
  EXPECT_TRUE(settings_.of(run(scratch_ / "p", {"KILN_IMAGES_ENABLED=1"}))->images_enabled);
  EXPECT_FALSE(settings_.of(run(scratch_ / "p", {"KILN_IMAGES_ENABLEDX=1"}))->images_enabled);
  EXPECT_FALSE(settings_.of(run("", {"KILN_IMAGES_ENABLED=0", "KILN_IMAGES_ENABLED=1"}))->images_enabled);
  EXPECT_FALSE(settings_.of(run("", {"KILN_IMAGES_ENABLED=maybe"})));
}

TEST_F(SettingsTest, OfARunFollowEveryEditAtOnce) {
  for (int i = 0; i < 200; ++i) {
    const bool enabled = i % 2 == 0;
    // Of one size, in place, and quicker than the clock of the file system.
    scratch_.write("user.toml", std::string("images.enabled = ") + (enabled ? "true \n" : "false\n"));
    const auto config = settings_.of(run(""));
    ASSERT_TRUE(config) << config.error().message;
    ASSERT_EQ(config->images_enabled, enabled) << i;
  }
  std::filesystem::remove(user_);
  EXPECT_TRUE(settings_.of(run(""))->images_enabled);
}

// Its stamp is old enough to be relied on.
TEST_F(SettingsTest, WhatIsRememberedIsTheSame) {
  ConfigCache cache;
  const auto first = cache.read("/etc/os-release", ConfigScope::project);
  const auto second = cache.read("/etc/os-release", ConfigScope::project);
  EXPECT_FALSE(first) << "it is no configuration";
  EXPECT_EQ(first.error().message, second.error().message);
  EXPECT_EQ(*cache.read(user_, ConfigScope::user), nullptr);
}

}  // namespace
}  // namespace kiln
