#include "common/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <map>

#include "common/config_file.h"
#include "common/config_key.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What is said of TEXT as a file; "accepted".
std::string verdict(const std::string& text, ConfigScope scope = ConfigScope::user) {
  const auto file = parse_config(text, "kiln.toml", scope);
  return file ? std::string("accepted") : file.error().message;
}

TEST(ConfigKey, EveryDefaultIsAValueOfItsKey) {
  for (const ConfigKey& key : config_keys()) {
    Config config;
    const auto set = set_value(config, key, value_from_text(key, std::string(key.default_text)), {});
    EXPECT_TRUE(set) << key.name;
    EXPECT_EQ(toml_text(config, key), toml_text(default_config(), key)) << key.name;
  }
}

TEST(ConfigKey, HasTheDocumentedDefaults) {
  const Config& config = default_config();
  EXPECT_EQ(config.log_level, "info");
  EXPECT_TRUE(config.images_enabled);
  EXPECT_EQ(config.images_limit, 64U);
  EXPECT_EQ(config.store_limit.count, 2ULL << 30);
  EXPECT_EQ(config.overlay_limit.count, 512ULL << 20);
  EXPECT_THAT(config.precompile_exclude, IsEmpty());
  EXPECT_EQ(config.watch_policy, WatchPolicy::imported);
  EXPECT_THAT(config.watch_ignore, IsEmpty());
  EXPECT_EQ(config.watch_limit, (Share{50, true}));
  EXPECT_EQ(config.daemon_idle_exit, std::nullopt);
}

TEST(ConfigKey, AValueIsWrittenAsItIsRead) {
  const std::string text =
      "log.level = \"debug\"\nimages.enabled = false\nimages.limit = 3\nimages.memory = \"1GiB\"\n"
      "images.programs = true\n"
      "images.never = [\"deploy.py\"]\nimages.trust = [\"app.settings\"]\n"
      "store.limit = \"500MB\"\n"
      "overlay.limit = \"1GiB\"\n"
      "precompile.exclude = [\"a b\", \"c/\\\"d\\u0001\"]\nwatch.policy = \"all\"\nwatch.ignore = []\n"
      "watch.limit = 1000\ndaemon.idle_exit = \"90min\"\n";
  const auto file = parse_config(text, "kiln.toml", ConfigScope::user);
  ASSERT_TRUE(file) << file.error().message;
  Config config;
  for (const auto& item : file->items) ASSERT_TRUE(set_value(config, *item.key, item.value, {}));
  std::string written;
  for (const ConfigKey& key : config_keys()) {
    written += std::string(key.name) + " = " + toml_text(config, key) + "\n";
  }
  EXPECT_EQ(written, text);
  EXPECT_EQ(config.watch_policy, WatchPolicy::all);
  EXPECT_EQ(config.daemon_idle_exit, std::chrono::minutes(90));
}

TEST(ConfigKey, AVariableIsNamedAfterIt) {
  EXPECT_EQ(variable_of(*find_config_key("daemon.idle_exit")), "KILN_DAEMON_IDLE_EXIT");
  EXPECT_EQ(find_config_key("daemon"), nullptr);
}

TEST(ConfigFile, TakesEveryFormOfAKey) {
  for (const char* text : {"[store]\nlimit = 4096\n", "store.limit = 4096\n", "store = {limit = 4096}\n"}) {
    const auto file = parse_config(text, "kiln.toml", ConfigScope::user);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_EQ(file->items.size(), 1U);
    EXPECT_EQ(file->items[0].key->name, "store.limit");
  }
  EXPECT_EQ(verdict(""), "accepted");
  EXPECT_EQ(verdict("[watch]\n"), "accepted") << "an empty section";
}

TEST(ConfigFile, NamesTheLineOfAMistake) {
  const std::map<std::string, std::string> verdicts{
      {"[images]\n\nlimt = 3\n", "kiln.toml:3: unknown key images.limt; did you mean images.limit?"},
      {"[image]\nlimit = 3\n", "kiln.toml:2: unknown key image.limit; did you mean images.limit?"},
      {"[wacth]\n", "kiln.toml:1: unknown key wacth"},
      {"images = 3\n", "kiln.toml:1: images is a section, and no key: write [images]"},
      {"[[watch]]\npolicy = \"all\"\n", "kiln.toml:1: watch is a section, and no key: write [watch]"},
      {"watch.policy = \"al\"\n",
       "kiln.toml:1: watch.policy is one of imported, all, none; did you mean all?"},
      {"log.level = \"INFO\"\n",
       "kiln.toml:1: log.level is one of trace, debug, info, warning, error; did you mean info?"},
      {"[images]\nlimit = 0\n", "kiln.toml:2: images.limit is a number from 1 to 1024"},
      {"[images]\nlimit = 1025\n", "kiln.toml:2: images.limit is a number from 1 to 1024"},
      {"[images]\nlimit = \"3\"\n", "kiln.toml:2: images.limit is a number from 1 to 1024"},
      {"[images.limit]\nx = 1\n", "kiln.toml:1: images.limit is a number from 1 to 1024"},
      {"[images]\nenabled = \"no\"\n", "kiln.toml:2: images.enabled is true or false"},
      {"[images]\nenabled = 1\n", "kiln.toml:2: images.enabled is true or false"},
      {"[log]\nlevel = \"loud\"\n", "kiln.toml:2: log.level is one of trace, debug, info, warning, error"},
      {"[watch]\npolicy = \"any\"\n", "kiln.toml:2: watch.policy is one of imported, all, none"},
      {"[watch.deep]\nx = 1\n", "kiln.toml:2: unknown key watch.deep.x"},
      {"[watch]\nlimit = 1\n[store]\nlimt = 1\n[log]\nlevl = \"x\"\n",
       "kiln.toml:4: unknown key store.limt; did you mean store.limit?"}};
  for (const auto& [text, said] : verdicts) EXPECT_EQ(verdict(text), said) << text;
  EXPECT_THAT(verdict("[log\n"), HasSubstr("kiln.toml:1: "));
  EXPECT_THAT(verdict("[log]\nlevel = \"info\"\nlevel = \"info\"\n"), HasSubstr("kiln.toml:3: "));
}

// toml++ 3.3 fails an assertion of its own here.
TEST(ConfigFile, RefusesASectionThatBeginsWithNoKey) {
  for (const std::string& begin :
       {std::string("="), std::string("\n"), std::string("#"), std::string(1, '\0')}) {
    EXPECT_THAT(verdict("\n[" + begin + "log]\n"), HasSubstr("kiln.toml:2: ")) << begin;
  }
}

// toml++ 3.3 has undefined behaviour at these characters outside of strings.
TEST(ConfigFile, RefusesLettersThatAreNoneOfAKey) {
  for (const char* letter : {"\uFECA", "\uFEFB", "\uFEFE", "\u3000", "\u00e4"}) {
    EXPECT_THAT(verdict(std::string("\n[log") + letter + "]\n"), HasSubstr("kiln.toml:2: ")) << letter;
  }
}

TEST(ConfigFile, RefusesWrongValues) {
  const auto each = [](const std::string& key, std::initializer_list<const char*> values,
                       const std::string& said) {
    for (const char* value : values) {
      EXPECT_EQ(verdict(key + " = " + value + "\n"), "kiln.toml:1: " + key + " is " + said) << value;
    }
  };
  each("store.limit",
       {"-1", "1.5", "true", "\"\"", "\"much\"", "\"1.5GiB\"", "\"16777216TiB\"", "[1]", "1979-05-27"},
       R"(a size in whole units such as "500MB" or "2GiB")");
  each("watch.limit", {"0", "\"0%\"", "-1", "1.5", "\"101%\"", "\"-1%\"", "\"%\"", "\"50\"", "2147483648"},
       R"(a number from 1 to 2147483647, or a percentage from "1%" to "100%")");
  each("daemon.idle_exit", {"30", "\"30\"", "\"0s\"", "\"-1s\"", "\"soon\"", "\"36526d\"", "false", "\"\""},
       R"(a duration from "1s" to "36525d" such as "30min" or "2h", or "never")");
  each("watch.ignore", {"\"a\"", "[1]", "[\"\"]", "[\"/\"]", "[[\"a\"]]"},
       R"(a list of patterns such as ["build", "src/gen/*.py"])");
}

TEST(ConfigFile, AProjectCannotSetWhatConcernsTheDaemon) {
  for (const ConfigKey& key : config_keys()) {
    const std::string text = "\n" + std::string(key.name) + " = " + toml_text(default_config(), key) + "\n";
    EXPECT_EQ(verdict(text), "accepted") << text;
    const std::string in_project = verdict(text, ConfigScope::project);
    if (key.scope == ConfigScope::project) {
      EXPECT_EQ(in_project, "accepted");
    } else {
      EXPECT_EQ(in_project, "kiln.toml:2: " + std::string(key.name) +
                                " concerns the whole daemon: only the user's own file may set it");
    }
  }
}

TEST(ConfigFile, AMistakeHasAHint) {
  EXPECT_EQ(parse_config("x = 1\n", "kiln.toml", ConfigScope::user).error().hint, "kiln config --describe");
  EXPECT_EQ(parse_config("x = 1\n", "kiln.toml", ConfigScope::user).error().reason, Reason::config);
}

class ConfigTest : public testing::Test {
 protected:
  // With a user's file at home/kiln.toml, as far as one was written.
  Result<Config> load(const std::string& path) {
    return load_config(path, [this](const char* name) { return variable(name); });
  }
  ConfigPaths paths(const std::string& path) {
    return *config_paths(path, [this](const char* name) { return variable(name); });
  }

  const char* variable(const std::string& name) const {
    const auto found = variables_.find(name);
    return found == variables_.end() ? nullptr : found->second.c_str();
  }

  std::string origins(const Config& config, std::string_view key) const {
    std::string text;
    const auto found = config.origins.find(key);
    if (found == config.origins.end()) return "default";
    for (const auto& origin : found->second) text += origin.text() + ";";
    for (std::size_t at = text.find(scratch_.path()); at != std::string::npos;
         at = text.find(scratch_.path())) {
      text.replace(at, scratch_.path().size() + 1, "");
    }
    return text;
  }

  static std::vector<std::string> globs(const std::vector<PathPattern>& patterns) {
    std::vector<std::string> globs;
    for (const auto& pattern : patterns) globs.push_back(pattern.glob);
    return globs;
  }

  Scratch scratch_;
  std::map<std::string, std::string> variables_{{"KILN_CONFIG", scratch_ / "home/kiln.toml"}};
};

TEST_F(ConfigTest, WithoutFilesAllIsDefault) {
  const auto config = load(scratch_ / "project/src");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_THAT(config->origins, IsEmpty());
  for (const ConfigKey& key : config_keys()) {
    EXPECT_EQ(toml_text(*config, key), toml_text(default_config(), key));
  }
  EXPECT_EQ(paths(scratch_ / "project").project, std::nullopt);
}

TEST_F(ConfigTest, WithoutAHomeThereIsNoUsersFile) {
  variables_.clear();
  EXPECT_EQ(paths("").user, std::nullopt);
  EXPECT_TRUE(load(""));
  variables_["HOME"] = "relative";
  EXPECT_EQ(paths("").user, std::nullopt);
  variables_["HOME"] = "/home/x";
  EXPECT_EQ(paths("").user, "/home/x/.config/kiln/kiln.toml");
  variables_["XDG_CONFIG_HOME"] = "/xdg";
  EXPECT_EQ(paths("").user, "/xdg/kiln/kiln.toml");
  variables_["KILN_CONFIG"] = "kiln.toml";
  EXPECT_EQ(load("").error().message, "KILN_CONFIG is not an absolute path: kiln.toml");
  EXPECT_EQ(load("").error().reason, Reason::config);
}

TEST_F(ConfigTest, TheNearerLayerWinsKeyByKey) {
  scratch_.write("home/kiln.toml", "[watch]\npolicy = \"all\"\n[images]\nlimit = 3\nenabled = false\n");
  scratch_.write("project/kiln.toml", "[watch]\npolicy = \"imported\"\n");
  variables_["KILN_IMAGES_ENABLED"] = "1";
  variables_["KILN_STORE_LIMIT"] = "1GiB";
  variables_["KILN_LOG_LEVEL"] = "";
  const auto config = load(scratch_ / "project/src/x.py");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->watch_policy, WatchPolicy::imported);
  EXPECT_EQ(origins(*config, "watch.policy"), "project/kiln.toml:2;");
  EXPECT_EQ(config->images_limit, 3U);
  EXPECT_EQ(origins(*config, "images.limit"), "home/kiln.toml:4;");
  EXPECT_TRUE(config->images_enabled);
  EXPECT_EQ(origins(*config, "images.enabled"), "environment variable KILN_IMAGES_ENABLED;");
  EXPECT_EQ(config->store_limit.count, 1ULL << 30);
  EXPECT_EQ(origins(*config, "log.level"), "default") << "an empty variable sets nothing";
}

TEST_F(ConfigTest, ListsAreJoinedAndAVariableReplacesThem) {
  scratch_.write("home/kiln.toml", "watch.ignore = [\"*.tmp\", \"a/b\"]\n");
  scratch_.write("project/kiln.toml", "\nwatch.ignore = [\"build/\"]\n");
  auto config = load(scratch_ / "project");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_THAT(config->watch_ignore, ElementsAre(PathPattern{"*.tmp", ""}, PathPattern{"a/b", ""},
                                                PathPattern{"build", scratch_ / "project"}));
  EXPECT_EQ(origins(*config, "watch.ignore"), "home/kiln.toml:1;project/kiln.toml:2;");
  variables_["KILN_WATCH_IGNORE"] = "x:y/z";
  config = load(scratch_ / "project");
  EXPECT_THAT(globs(config->watch_ignore), ElementsAre("x", "y/z"));
  EXPECT_EQ(origins(*config, "watch.ignore"), "environment variable KILN_WATCH_IGNORE;");
}

TEST_F(ConfigTest, AVariableWithAMistakeIsNamed) {
  variables_["KILN_IMAGES_LIMIT"] = "many";
  const auto config = load("");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message, "KILN_IMAGES_LIMIT: images.limit is a number from 1 to 1024");
  EXPECT_EQ(config.error().hint, "unset KILN_IMAGES_LIMIT");
}

TEST_F(ConfigTest, AVariableOutOfRangeIsToldTheRange) {
  for (const std::string value : {"0", "-1", "2147483648", "1.5", "0%", "101%"}) {
    variables_["KILN_WATCH_LIMIT"] = value;
    const auto config = load("");
    ASSERT_FALSE(config) << value;
    EXPECT_EQ(
        config.error().message,
        "KILN_WATCH_LIMIT: watch.limit is a number from 1 to 2147483647, or a percentage from \"1%\" to "
        "\"100%\"");
  }
}

TEST_F(ConfigTest, VariablesHaveEveryType) {
  variables_["KILN_LOG_LEVEL"] = "trace";
  variables_["KILN_IMAGES_LIMIT"] = "7";
  variables_["KILN_IMAGES_ENABLED"] = "false";
  variables_["KILN_STORE_LIMIT"] = "4096";
  variables_["KILN_WATCH_LIMIT"] = "25%";
  variables_["KILN_WATCH_POLICY"] = "all";
  variables_["KILN_DAEMON_IDLE_EXIT"] = "2h";
  const auto config = load("");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->log_level, "trace");
  EXPECT_EQ(config->images_limit, 7U);
  EXPECT_FALSE(config->images_enabled);
  EXPECT_EQ(config->store_limit.count, 4096U);
  EXPECT_EQ(config->watch_limit, (Share{25, true}));
  EXPECT_EQ(config->watch_policy, WatchPolicy::all);
  EXPECT_EQ(config->daemon_idle_exit, std::chrono::hours(2));
}

TEST_F(ConfigTest, TheNearestProjectIsFound) {
  scratch_.write("a/kiln.toml", "");
  scratch_.write("a/b/c/kiln.toml", "");
  scratch_.write("a/b/x.py", "");
  EXPECT_EQ(paths(scratch_ / "a").project, scratch_ / "a/kiln.toml");
  EXPECT_EQ(paths(scratch_ / "a/b/x.py").project, scratch_ / "a/kiln.toml");
  EXPECT_EQ(paths(scratch_ / "a/b/not/there").project, scratch_ / "a/kiln.toml");
  EXPECT_EQ(paths(scratch_ / "a/b/c/d").project, scratch_ / "a/b/c/kiln.toml");
  EXPECT_EQ(paths(scratch_.path()).project, std::nullopt);
  EXPECT_EQ(paths("").project, std::nullopt);
  EXPECT_EQ(paths("/").project, std::nullopt);
  EXPECT_EQ(paths("relative").project, std::nullopt);
}

TEST_F(ConfigTest, TheUsersFileIsNoProjects) {
  scratch_.write("home/kiln.toml", "images.limit = 3\n");
  EXPECT_EQ(paths(scratch_ / "home/x.py").project, std::nullopt);
  std::filesystem::create_directory_symlink(scratch_ / "home", scratch_ / "link");
  EXPECT_EQ(paths(scratch_ / "link/x.py").project, std::nullopt);
  EXPECT_EQ(load(scratch_ / "link/x.py")->images_limit, 3U);
}

TEST_F(ConfigTest, AMistakeOfEitherFileIsAnError) {
  scratch_.write("home/kiln.toml", "[log]\nlevel = 1\n");
  scratch_.write("project/kiln.toml", "x = 1\n");
  EXPECT_EQ(load(scratch_ / "project").error().message,
            scratch_ / "home/kiln.toml:2: log.level is one of trace, debug, info, warning, error");
  scratch_.write("home/kiln.toml", "");
  EXPECT_EQ(load(scratch_ / "project").error().message, scratch_ / "project/kiln.toml:1: unknown key x");
  EXPECT_TRUE(load(scratch_ / "elsewhere"));
}

TEST_F(ConfigTest, WhatIsNoFileIsNotReadForever) {
  std::filesystem::create_directories(scratch_ / "home");
  ASSERT_EQ(::mkfifo((scratch_ / "home/kiln.toml").c_str(), 0600), 0);
  EXPECT_EQ(load("").error().message, "cannot read " + (scratch_ / "home/kiln.toml") + ": it is not a file");
  variables_["KILN_CONFIG"] = scratch_.write("large.toml", std::string((1 << 20) + 1, '#'));
  EXPECT_THAT(load("").error().message, HasSubstr("longer than a mebibyte"));
  variables_["KILN_CONFIG"] = "/dev/zero";
  EXPECT_EQ(load("").error().message, "cannot read /dev/zero: it is not a file");
}

TEST(ConfigShare, IsOfAWhole) {
  EXPECT_EQ((Share{50, true}.of(65'537)), 32'768U);
  EXPECT_EQ((Share{100, true}.of(~0ULL)), ~0ULL);
  EXPECT_EQ((Share{0, true}.of(100)), 0U);
  EXPECT_EQ((Share{50, false}.of(7)), 50U);
  EXPECT_GT(watch_limit(default_config()), 0U);
}

}  // namespace
}  // namespace kiln
