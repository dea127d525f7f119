#include "common/config.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "common/config_file.h"
#include "common/config_key.h"
#include "common/path_text.h"
#include "common/variables.h"

namespace kiln {
namespace {

constexpr char kFileName[] = "kiln.toml";

bool is_same_file(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return std::filesystem::equivalent(a, b, ignored);
}

// Whatever it is: what is no file is a mistake, and told as one.
bool is_there(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

// "/a/b" after "/a/b/c", "" after "/a". Nothing after "".
std::optional<std::string> parent_of(const std::string& dir) {
  const std::size_t slash = dir.rfind('/');
  if (slash == std::string::npos) return std::nullopt;
  return dir.substr(0, slash);
}

// PATH itself may be a directory; if it is a file, no name leads on below it.
std::optional<std::string> find_project(const std::string& path, const std::optional<std::string>& user) {
  if (!path.starts_with('/')) return std::nullopt;
  std::optional<std::string> dir = path == "/" ? "" : path;
  for (; dir; dir = parent_of(*dir)) {
    std::string candidate = *dir + "/" + kFileName;
    if (is_there(candidate) && !(user && is_same_file(candidate, *user))) return candidate;
  }
  return std::nullopt;
}

bool is_list(const ConfigKey& key) {
  return std::holds_alternative<std::vector<PathPattern> Config::*>(key.member);
}

Result<void> apply(Config& config, const ConfigFile& file) {
  ConfigUse use;
  use.adds = true;
  if (file.scope == ConfigScope::project) use.base = directory_of(file.path);
  for (const auto& [key, value, line] : file.items) {
    TRY_VOID(set_value(config, *key, value, use));
    auto& origins = config.origins[key->name];
    if (!is_list(*key)) origins.clear();
    origins.push_back({file.path, line, {}});
  }
  return {};
}

Result<void> apply(Config& config, const Variables& variables) {
  for (const ConfigKey& key : config_keys()) {
    const std::string name = variable_of(key);
    const char* const text = value_of(name.c_str(), variables);
    if (text == nullptr) continue;
    const auto set = set_value(config, key, value_from_text(key, text), {});
    if (!set) return Error{Reason::config, name + ": " + set.error().message, "unset " + name};
    config.origins[key.name] = {{{}, 0, name}};
  }
  return {};
}

}  // namespace

std::uint64_t Share::of(std::uint64_t whole) const {
  constexpr std::uint64_t kWhole = 100;
  return is_percentage ? whole / kWhole * number + whole % kWhole * number / kWhole : number;
}

std::string ConfigOrigin::text() const {
  return variable.empty() ? file + ":" + std::to_string(line) : "environment variable " + variable;
}

std::uint64_t watch_limit(const Config& config) {
  std::uint64_t most = 0;
  std::ifstream("/proc/sys/fs/inotify/max_user_watches") >> most;
  return config.watch_limit.of(most);
}

Result<ConfigPaths> config_paths(const std::string& path, const Variables& variables) {
  ConfigPaths paths;
  const auto user = config_file(variables);
  if (!user) return Error{Reason::config, user.error().message, user.error().hint};
  paths.user = *user;
  paths.project = find_project(path, paths.user);
  return paths;
}

Result<Config> load_config(const std::string& path, const Variables& variables, const ConfigReader& read) {
  const ConfigPaths paths = TRY(config_paths(path, variables));
  Config config = default_config();
  if (paths.user) {
    const auto file = TRY(read(*paths.user, ConfigScope::user));
    if (file != nullptr) TRY_VOID(apply(config, *file));
  }
  if (paths.project) {
    const auto file = TRY(read(*paths.project, ConfigScope::project));
    if (file != nullptr) TRY_VOID(apply(config, *file));
  }
  TRY_VOID(apply(config, variables));
  return config;
}

Result<Config> load_config(const std::string& path, const Variables& variables) {
  return load_config(path, variables, read_config_file);
}

}  // namespace kiln
