#include "daemon/config.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(Config, HasDefaults) {
  const auto config = parse_config("", "kiln.toml");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->log_level, "info");
  EXPECT_EQ(config->image_limit, 64U);
  EXPECT_EQ(config->store_limit, 2ULL << 30);
  EXPECT_EQ(config->overlay_limit, 512ULL << 20);
  EXPECT_TRUE(read_config("/nowhere/kiln.toml"));
}

TEST(Config, TakesWhatItKnows) {
  const auto config = parse_config(
      "[log]\nlevel = \"debug\"\n[images]\nlimit = 3\n[store]\nlimit = \"500 MB\"\n", "kiln.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->log_level, "debug");
  EXPECT_EQ(config->image_limit, 3U);
  EXPECT_EQ(config->store_limit, 500'000'000U);
  EXPECT_EQ(parse_config("[overlay]\nlimit = \"1 GiB\"\n", "kiln.toml")->overlay_limit, 1ULL << 30);
  EXPECT_EQ(parse_config("[overlay]\nlimit = -1\n", "kiln.toml").error().message,
            "kiln.toml:2: overlay.limit is a size such as \"500MB\" or \"2GiB\"");
  EXPECT_EQ(parse_config("[store]\nlimit = 4096\n", "kiln.toml")->store_limit, 4096U);
  EXPECT_EQ(parse_config("[store]\nlimit = 0\n", "kiln.toml")->store_limit, 0U);
}

TEST(Config, NamesTheLineOfAMistake) {
  const auto message = [](const char* text) {
    const auto config = parse_config(text, "kiln.toml");
    return config ? std::string("accepted") : config.error().message;
  };
  EXPECT_EQ(message("[images]\n\nlimt = 3\n"), "kiln.toml:3: unknown key images.limt");
  EXPECT_EQ(message("images = 3\n"), "kiln.toml:1: unknown key images");
  EXPECT_EQ(message("[images]\nlimit = 0\n"), "kiln.toml:2: images.limit is a number from 1 to 1024");
  EXPECT_EQ(message("[images]\nlimit = \"3\"\n"), "kiln.toml:2: images.limit is a number from 1 to 1024");
  EXPECT_EQ(message("[log]\nlevel = \"loud\"\n").substr(0, 12), "kiln.toml:2:");
  for (const char* size : {"-1", "1.5", "true", "\"\"", "\"much\"", "[1]"}) {
    EXPECT_EQ(message((std::string("[store]\nlimit = ") + size + "\n").c_str()),
              "kiln.toml:2: store.limit is a size such as \"500MB\" or \"2GiB\"");
  }
  EXPECT_EQ(message("[log\n").substr(0, 12), "kiln.toml:1:");
}

}  // namespace
}  // namespace kiln
