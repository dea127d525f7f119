#include "daemon/settings.h"

#include <filesystem>
#include <string_view>

namespace kiln {
namespace {

constexpr std::size_t kMaxFiles = 256;

// Of several variables of one name the first counts, as for getenv(3).
template <class Environment>
const char* value_in(const Environment& environment, std::string_view name) {
  for (const std::string& variable : environment) {
    if (variable.starts_with(name) && variable.size() > name.size() && variable[name.size()] == '=')
      return variable.c_str() + name.size() + 1;
  }
  return nullptr;
}

}  // namespace

Result<std::shared_ptr<const ConfigFile>> ConfigCache::read(const std::string& path, ConfigScope scope) {
  const auto key = std::make_pair(path, scope);
  const FileStamp stamp = stamp_of(path);  // before the file is read: a later change has another
  const auto known = entries_.find(key);
  if (known != entries_.end() && known->second.stamp == stamp) return known->second.file;
  auto file = read_config_file(path, scope);
  if (!is_settled(stamp)) return file;
  if (entries_.size() >= kMaxFiles) entries_.clear();
  entries_.insert_or_assign(key, Entry{stamp, file});
  return file;
}

void Settings::reload() {
  auto config = load_config({}, variables_);
  error_.reset();
  if (config) {
    config_ = std::move(*config);
  } else {
    error_ = config.error();
  }
}

Result<Config> Settings::of(const proto::RunRequest& run) {
  const std::string place = std::filesystem::path(run.place()).lexically_normal().string();
  return load(place, [&](const char* name) { return value_in(run.environment(), name); });
}

Result<Config> Settings::at(const std::string& path, const std::vector<std::string>& variables) {
  return load(path, [&](const char* name) { return value_in(variables, name); });
}

Result<Config> Settings::load(const std::string& place, const Variables& variables) {
  const ConfigReader read = [&](const std::string& path, ConfigScope scope) {
    return cache_.read(path, scope);
  };
  return load_config(place, variables, read);
}

}  // namespace kiln
