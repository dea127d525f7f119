#include "common/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "common/path_error.h"
#include "common/shell_word.h"
#include "common/toml.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

constexpr std::size_t kMaxFile = 1U << 20;
constexpr char kHint[] = "kiln config --describe";

ConfigValue value_of(const toml::node& node) {
  if (const auto value = node.value_exact<bool>()) return *value;
  if (const auto value = node.value_exact<std::int64_t>()) return *value;
  if (const auto value = node.value_exact<std::string>()) return *value;
  if (!node.is_array()) return std::monostate{};
  std::vector<std::string> list;
  for (const toml::node& element : *node.as_array()) {
    const auto text = element.value_exact<std::string>();
    if (!text) return std::monostate{};
    list.push_back(*text);
  }
  return list;
}

class Reader {
 public:
  explicit Reader(ConfigFile& file) : file_(file) {}

  void read(const toml::table& table, const std::string& prefix = {}) {
    for (const auto& [key, node] : table) {
      const std::string name = prefix + std::string(key.str());
      // An inline table, a section, or part of a key with dots: none has a value of its own.
      if (node.is_table() && find_config_key(name) == nullptr && !node.as_table()->empty()) {
        read(*node.as_table(), name + ".");
      } else if (!is_section(node, name)) {
        item(name, node, key.source().begin.line);
      }
    }
  }

  std::optional<Error> first_mistake() { return std::move(mistake_); }

 private:
  // An empty section is in order if its name is.
  static bool is_section(const toml::node& node, const std::string& name) {
    return node.is_table() && names_section(name);
  }

  static bool names_section(const std::string& name) {
    const auto begins = [&](const ConfigKey& key) { return key.name.starts_with(name + "."); };
    return std::ranges::any_of(config_keys(), begins);
  }

  void item(const std::string& name, const toml::node& node, std::uint64_t line) {
    const ConfigKey* key = find_config_key(name);
    if (key == nullptr && names_section(name))
      return note(line, name + " is a section, and no key: write [" + name + "]");
    if (key == nullptr) return note(line, "unknown key " + name + config_key_suggestion(name));
    if (key->scope == ConfigScope::user && file_.scope == ConfigScope::project) {
      return note(line, name + " concerns the whole daemon: only the user's own file may set it");
    }
    ConfigValue value = value_of(node);
    Config trial;
    if (const auto set = set_value(trial, *key, value, {}); !set) return note(line, set.error().message);
    file_.items.push_back({key, std::move(value), line});
  }

  // A table is not in the order of its lines.
  void note(std::uint64_t line, const std::string& what) {
    if (mistake_ && line_ <= line) return;
    line_ = line;
    mistake_ = Error{Reason::config, file_.path + ":" + std::to_string(line) + ": " + what, kHint};
  }

  ConfigFile& file_;
  std::optional<Error> mistake_;
  std::uint64_t line_ = 0;
};

Error unreadable(const std::string& path, const std::string& why, const std::string& hint = {}) {
  return {Reason::config, "cannot read " + path + ": " + why, hint.empty() ? do_without(path) : hint};
}

// Its owner may be allowed to read it; of another's file it is known how to do without, if a variable names
// it.
Error forbidden(const std::string& path) {
  const char* const named = std::getenv("KILN_CONFIG");
  const bool is_named = named != nullptr && path == named;
  struct stat status {};
  const bool is_own = ::stat(path.c_str(), &status) == 0 && status.st_uid == ::geteuid();
  return unreadable(path, std::strerror(EACCES),
                    is_named && !is_own ? do_without(path) : permission_hint(path, "r"));
}

// Whoever names it wants no configuration.
bool is_null_device(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

Result<std::string> contents(int fd, const std::string& path) {
  std::string text;
  std::array<char, 16384> buffer;
  while (true) {
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return unreadable(path, std::strerror(errno));
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(size));
    if (text.size() > kMaxFile) return unreadable(path, "it is longer than a mebibyte");
  }
}

}  // namespace

std::string do_without(const std::string& path) {
  const char* const named = std::getenv("KILN_CONFIG");
  return named != nullptr && path == named ? "unset KILN_CONFIG" : move_aside(path);
}

Result<ConfigFile> parse_config(const std::string& text, const std::string& path, ConfigScope scope) {
  ConfigFile file{path, scope, {}};
  try {
    Reader reader(file);
    reader.read(toml::parse(text));
    if (auto mistake = reader.first_mistake()) return std::move(*mistake);
  } catch (const toml::parse_error& error) {
    const std::string line = std::to_string(error.source().begin.line);
    return Error{Reason::config, path + ":" + line + ": " + std::string(error.description()), kHint};
  }
  return file;
}

Result<std::shared_ptr<const ConfigFile>> read_config_file(const std::string& path, ConfigScope scope) {
  // Not blocking: what is no regular file may have nobody at its other end.
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (!fd && (errno == ENOENT || errno == ENOTDIR)) return std::shared_ptr<const ConfigFile>();
  if (!fd && errno == EACCES) return forbidden(path);
  if (!fd) return unreadable(path, std::strerror(errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return unreadable(path, std::strerror(errno));
  if (is_null_device(status)) return std::make_shared<const ConfigFile>(ConfigFile{path, scope, {}});
  if (!S_ISREG(status.st_mode)) return unreadable(path, "it is not a file");
  const std::string text = TRY(contents(fd.get(), path));
  auto file = TRY(parse_config(text, path, scope));
  return std::make_shared<const ConfigFile>(std::move(file));
}

}  // namespace kiln
