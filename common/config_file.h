// One kiln.toml, read:
//
//   [store]
//   limit = "2GiB"       # or store.limit = "2GiB", above all sections
//   [watch]
//   ignore = ["build"]
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/config_key.h"
#include "common/result.h"

namespace kiln {

struct ConfigItem {
  const ConfigKey* key;
  ConfigValue value;  // that the key takes
  std::uint64_t line;
};

struct ConfigFile {
  std::string path;
  ConfigScope scope;
  std::vector<ConfigItem> items;
};

// TEXT of a file at PATH. The first mistake, by line, is an error: "PATH:3: unknown key images.limt; did you
// mean images.limit?"
Result<ConfigFile> parse_config(const std::string& text, const std::string& path, ConfigScope scope);

// The file at PATH; null if there is none. What is no regular file, or is larger than any configuration, is
// an error: whoever may write to a directory above a program may have put it there.
Result<std::shared_ptr<const ConfigFile>> read_config_file(const std::string& path, ConfigScope scope);

// The command after which the file at PATH, in which there is a mistake, is not read: what KILN_CONFIG names
// may be anything, and is left alone.
std::string do_without(const std::string& path);

}  // namespace kiln
