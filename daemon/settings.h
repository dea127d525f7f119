// The configuration as the daemon has it: its own part, which is read at its start and at SIGHUP, and that of
// each run and watched root, which is looked at for each: a file is read again when its stamp says that it is
// another.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/config.h"
#include "common/config_file.h"
#include "common/file_stamp.h"
#include "proto/kiln.pb.h"

namespace kiln {

// Files that were read, by path, for as long as they stay as they are.
class ConfigCache {
 public:
  // As read_config_file.
  Result<std::shared_ptr<const ConfigFile>> read(const std::string& path, ConfigScope scope);

 private:
  struct Entry {
    FileStamp stamp;
    Result<std::shared_ptr<const ConfigFile>> file;
  };
  std::map<std::pair<std::string, ConfigScope>, Entry> entries_;
};

class Settings {
 public:
  // VARIABLES: the daemon's own.
  explicit Settings(Variables variables = ::getenv) : variables_(std::move(variables)) { reload(); }

  // Reads the daemon's own part. After a mistake what held before, at first the default, still holds, and
  // error() says it.
  void reload();
  const Config& config() const { return config_; }
  const std::optional<Error>& error() const { return error_; }

  // What holds for a run: in its place, with its environment.
  Result<Config> of(const proto::RunRequest& run);
  // What holds for PATH, with these VARIABLES: NAME=VALUE.
  Result<Config> at(const std::string& path, const std::vector<std::string>& variables);

 private:
  Result<Config> load(const std::string& place, const Variables& variables);

  Variables variables_;
  Config config_ = default_config();
  std::optional<Error> error_;
  ConfigCache cache_;
};

}  // namespace kiln
