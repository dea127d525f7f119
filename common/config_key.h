// The table of all keys of the configuration. Reading, merging, `kiln config` and its description come from
// it: a new key is a member of Config and a row.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/config.h"

namespace kiln {

// The member of Config that holds a key's value; its type is the key's type.
using ConfigMember =
    std::variant<bool Config::*, std::uint64_t Config::*, Bytes Config::*, Share Config::*, Lapse Config::*,
                 std::string Config::*, WatchPolicy Config::*, std::vector<PathPattern> Config::*>;

struct ConfigKey {
  std::string_view name;  // section.key
  ConfigMember member;
  std::string_view default_text;                   // as a variable would have it
  ConfigScope scope;                               // project: a project's file may set it, too
  std::string_view summary;                        // one sentence
  std::span<const std::string_view> choices = {};  // of a word
  std::uint64_t min = 0;                           // of a number
  std::uint64_t max = 0;
  std::string_view example = R"(["build", "src/gen/*.py"])";  // of patterns
};

std::span<const ConfigKey> config_keys();
// Null if there is no such key.
const ConfigKey* find_config_key(std::string_view name);
// Of the key that NAME may have been meant for: "; did you mean images.limit?", or nothing.
std::string config_key_suggestion(std::string_view name);

// The variable that sets KEY: KILN_STORE_LIMIT.
std::string variable_of(const ConfigKey& key);

// A value as TOML has it; none where no key takes such a thing.
using ConfigValue = std::variant<std::monostate, bool, std::int64_t, std::string, std::vector<std::string>>;

// What TEXT, a variable's or the default, stands for: true, 12, imported, build:src/*.tmp.
ConfigValue value_from_text(const ConfigKey& key, const std::string& text);

// Sets KEY in CONFIG, or says what it takes: "images.limit is a number from 1 to 1024". BASE: the directory
// at which patterns begin (PathPattern). ADDS: a list is joined to what is there.
struct ConfigUse {
  std::string base;
  bool adds = false;
};
Result<void> set_value(Config& config, const ConfigKey& key, const ConfigValue& value, const ConfigUse& use);

// What KEY takes, in words: "true or false", "a size such as \"500MB\" or \"2GiB\"".
std::string allowed_values(const ConfigKey& key);

// Everything as by default.
const Config& default_config();

// The value of KEY as kiln.toml would have it: "2GiB" with its quotes, ["a", "b"].
std::string toml_text(const Config& config, const ConfigKey& key);

}  // namespace kiln
