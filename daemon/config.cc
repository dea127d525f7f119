#include "daemon/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>

#include "common/quantity.h"

namespace kiln {
namespace {

constexpr std::array<std::string_view, 5> kLevels{"trace", "debug", "info", "warning", "error"};
constexpr std::int64_t kMaxImages = 1024;

Error error_at(const std::string& path, const toml::source_region& where, const std::string& what) {
  return Error{Reason::usage, path + ":" + std::to_string(where.begin.line) + ": " + what, {}};
}

// A number of bytes, or a string with a unit.
std::optional<std::uint64_t> size_of(const toml::node& value) {
  if (const auto text = value.value_exact<std::string>()) return parse_bytes(*text);
  const auto number = value.value_exact<std::int64_t>();
  if (!number || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

std::string set_size(std::uint64_t& size, const std::string& key, const toml::node& value) {
  const auto given = size_of(value);
  if (!given) return key + " is a size such as \"500MB\" or \"2GiB\"";
  size = *given;
  return {};
}

// One key: says what is wrong with VALUE, or nothing.
std::string set(Config& config, const std::string& key, const toml::node& value) {
  if (key == "log.level") {
    const auto level = value.value_exact<std::string>();
    if (!level || std::ranges::find(kLevels, *level) == kLevels.end()) {
      return "log.level is one of trace, debug, info, warning, error";
    }
    config.log_level = *level;
    return {};
  }
  if (key == "images.limit") {
    const auto limit = value.value_exact<std::int64_t>();
    if (!limit || *limit < 1 || *limit > kMaxImages) return "images.limit is a number from 1 to 1024";
    config.image_limit = static_cast<std::size_t>(*limit);
    return {};
  }
  if (key == "store.limit") return set_size(config.store_limit, key, value);
  if (key == "overlay.limit") return set_size(config.overlay_limit, key, value);
  return "unknown key " + key;
}

}  // namespace

Result<Config> parse_config(const std::string& text, const std::string& path) {
  Config config;
  try {
    const toml::table document = toml::parse(text);
    for (const auto& [section, content] : document) {
      const std::string prefix(section.str());
      if (!content.is_table()) return error_at(path, content.source(), "unknown key " + prefix);
      for (const auto& [name, value] : *content.as_table()) {
        const std::string problem = set(config, prefix + "." + std::string(name.str()), value);
        if (!problem.empty()) return error_at(path, value.source(), problem);
      }
    }
  } catch (const toml::parse_error& error) {
    return error_at(path, error.source(), std::string(error.description()));
  }
  return config;
}

Result<Config> read_config(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return Config{};
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    if (file && file.peek() == std::ifstream::traits_type::eof()) return Config{};
    return errno_error("cannot read " + path);
  }
  return parse_config(text.str(), path);
}

}  // namespace kiln
