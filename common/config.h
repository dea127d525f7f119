// The configuration: what may be set is common/config_key.h's table, how files are written
// common/config_file.h.
//
// A value comes from the last of these that sets its key:
//   default      the table's
//   user         the file that common/paths.h names
//   project      kiln.toml in the nearest directory, from the path in question upwards, that has one
//   environment  KILN_SECTION_NAME: KILN_STORE_LIMIT for store.limit; an empty variable sets nothing
// The lists of user and project are joined. What concerns the whole daemon cannot be set by a project, and is
// read from the environment in which the daemon was started; the rest from that of the client who asks.
//
// A mistake anywhere is an error that names its line, for a misspelt key must not be silently without effect.
// A command then tells it, and a run is executed: no fault of Kiln's may keep a program from running.
//
// Rejected: to go on with what is right in the file, or without the file. Who has excluded a directory, or
// disabled images, would then be disobeyed because of a misspelling elsewhere. Rejected: parsing in the
// client of a run. It costs each of them what the daemon does once for each version of a file.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/path_pattern.h"
#include "common/paths.h"
#include "common/result.h"

namespace kiln {

struct ConfigFile;

// Which modules of a watched tree are kept compiled.
enum class WatchPolicy : std::uint8_t { imported, all, none };

struct Bytes {
  std::uint64_t count = 0;
  bool operator==(const Bytes&) const = default;
};

// A number, or a percentage of a whole that is known elsewhere.
struct Share {
  std::uint64_t number = 0;
  bool is_percentage = false;

  std::uint64_t of(std::uint64_t whole) const;
  bool operator==(const Share&) const = default;
};

// Nothing: never.
using Lapse = std::optional<std::chrono::seconds>;

// Where a value was set: in a file, or by a variable.
struct ConfigOrigin {
  std::string file;
  std::uint64_t line = 0;
  std::string variable;

  std::string text() const;  // "/home/x/kiln.toml:3", "environment variable KILN_STORE_LIMIT"
  bool operator==(const ConfigOrigin&) const = default;
};

// What the keys mean is said in common/config_key.cc, in the same order.
struct Config {
  std::string log_level;
  bool images_enabled = false;
  std::uint64_t images_limit = 0;
  Bytes images_memory;
  bool images_programs = false;
  std::vector<PathPattern> images_never;
  std::vector<PathPattern> images_trust;
  Bytes store_limit;
  Bytes overlay_limit;
  std::vector<PathPattern> precompile_exclude;
  WatchPolicy watch_policy{};
  std::vector<PathPattern> watch_ignore;
  Share watch_limit;
  Lapse daemon_idle_exit;

  // Of each key that is not at its default; several where lists were joined.
  std::map<std::string_view, std::vector<ConfigOrigin>> origins;
};

// inotify(7) watches that watch.limit allows: a share of fs.inotify.max_user_watches, as it is now.
std::uint64_t watch_limit(const Config& config);

struct ConfigPaths {
  std::optional<std::string> user;     // need not be there
  std::optional<std::string> project;  // is there
};

// The files for PATH: absolute, without "." and "..", of a file or directory that need not exist. Empty: for
// no project. The user's file is no project's, wherever it lies.
Result<ConfigPaths> config_paths(const std::string& path, const Variables& variables);

// Reads a file: null if it is not there. The daemon has one that remembers.
enum class ConfigScope : std::uint8_t { user, project };
using ConfigReader =
    std::function<Result<std::shared_ptr<const ConfigFile>>(const std::string& path, ConfigScope scope)>;

// All of it, merged. Errors have Reason::config and a hint.
Result<Config> load_config(const std::string& path, const Variables& variables, const ConfigReader& read);
Result<Config> load_config(const std::string& path, const Variables& variables = ::getenv);

}  // namespace kiln
