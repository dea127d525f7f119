#include "common/config_key.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>

#include "common/quantity.h"
#include "common/suggestion.h"

namespace kiln {
namespace {

constexpr std::array<std::string_view, 5> kLevels{"trace", "debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 3> kPolicies{"imported", "all",
                                                    "none"};  // in the order of WatchPolicy
constexpr std::uint64_t kMaxImages = 1024;
constexpr std::uint64_t kMaxWatches = std::numeric_limits<std::int32_t>::max();  // inotify's descriptors
constexpr std::uint64_t kWhole = 100;                                            // percent

constexpr std::array kKeys{
    ConfigKey{.name = "log.level",
              .member = &Config::log_level,
              .default_text = "info",
              .scope = ConfigScope::user,
              .summary = "The least severe messages that the daemon writes to its log.",
              .choices = kLevels},
    ConfigKey{.name = "images.enabled",
              .member = &Config::images_enabled,
              .default_text = "true",
              .scope = ConfigScope::project,
              .summary = "Whether runs may be served by images; else Python itself is executed."},
    ConfigKey{
        .name = "images.limit",
        .member = &Config::images_limit,
        .default_text = "64",
        .scope = ConfigScope::user,
        .summary =
            "Images kept at once, of interpreters and of programs each; the least recently used goes first.",
        .min = 1,
        .max = kMaxImages},
    ConfigKey{.name = "images.memory",
              .member = &Config::images_memory,
              .default_text = "2GiB",
              .scope = ConfigScope::user,
              .summary = "What images of programs may take together, and never more than a quarter of the "
                         "machine's memory."},
    ConfigKey{.name = "images.programs",
              .member = &Config::images_programs,
              .default_text = "true",
              .scope = ConfigScope::project,
              .summary = "Whether programs are run ahead to their first step, to start from there."},
    ConfigKey{.name = "images.never",
              .member = &Config::images_never,
              .default_text = "",
              .scope = ConfigScope::project,
              .summary = "Programs, by patterns for their files, that are never run ahead.",
              .example = R"(["scripts/*.py", "bench"])"},
    ConfigKey{.name = "images.trust",
              .member = &Config::images_trust,
              .default_text = "",
              .scope = ConfigScope::project,
              .summary =
                  "Modules, by patterns for their names, that may ask for the time, for random numbers and "
                  "for ids while a program is run ahead: what they are told is the same in all runs then.",
              .example = R"(["company.metrics", "plugins.*"])"},
    ConfigKey{.name = "store.limit",
              .member = &Config::store_limit,
              .default_text = "2GiB",
              .scope = ConfigScope::user,
              .summary = "What compiled code may take on the disk; 0 for no store."},
    ConfigKey{
        .name = "overlay.limit",
        .member = &Config::overlay_limit,
        .default_text = "512MiB",
        .scope = ConfigScope::user,
        .summary = "What bytecode that has no place in its tree may take on the disk; 0 for no overlay."},
    ConfigKey{.name = "precompile.exclude",
              .member = &Config::precompile_exclude,
              .default_text = "",
              .scope = ConfigScope::project,
              .summary = "What `kiln precompile` leaves out of directories, beside its own --exclude."},
    ConfigKey{.name = "watch.policy",
              .member = &Config::watch_policy,
              .default_text = "imported",
              .scope = ConfigScope::project,
              .summary = "Which modules are kept compiled: those that were imported or compiled before, all "
                         "of a watched tree, or, without a tree being watched, none.",
              .choices = kPolicies},
    ConfigKey{.name = "watch.ignore",
              .member = &Config::watch_ignore,
              .default_text = "",
              .scope = ConfigScope::project,
              .summary = "What is not watched below a watched directory."},
    ConfigKey{.name = "watch.limit",
              .member = &Config::watch_limit,
              .default_text = "50%",
              .scope = ConfigScope::user,
              .summary = "Directories watched at once, or a percentage of fs.inotify.max_user_watches.",
              .min = 1,
              .max = kMaxWatches},
    ConfigKey{.name = "daemon.idle_exit",
              .member = &Config::daemon_idle_exit,
              .default_text = "never",
              .scope = ConfigScope::user,
              .summary = "After how long without a request the daemon ends, unless programs run or `kiln "
                         "watch` watches directories."},
};

constexpr auto kNames = [] {
  std::array<std::string_view, kKeys.size()> names;
  std::ranges::transform(kKeys, names.begin(), &ConfigKey::name);
  return names;
}();

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char byte : text) {
    if (const auto code = static_cast<unsigned char>(byte); code < 0x20 || code == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04X", code);
      result += escape;
      continue;
    }
    if (byte == '"' || byte == '\\') result += '\\';
    result += byte;
  }
  return result + '"';
}

std::string joined(std::span<const std::string_view> words) {
  std::string text;
  for (const auto word : words) text += (text.empty() ? "" : ", ") + std::string(word);
  return text;
}

// "a", "a or b", "a, b or c".
std::string alternatives(std::span<const std::string_view> words) {
  if (words.size() == 1) return std::string(words.front());
  return joined(words.first(words.size() - 1)) + " or " + std::string(words.back());
}

std::string_view without_section(std::string_view name) {
  return name.substr(name.find('.') + 1);
}

// The keys of this name in whatever section.
std::vector<std::string_view> in_sections(std::string_view name) {
  std::vector<std::string_view> keys;
  for (const auto key : kNames) {
    if (without_section(key) == without_section(name)) keys.push_back(key);
  }
  return keys;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// A list in a variable is divided as PATH is.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto colon = std::min(text.find(':'), text.size());
    if (colon > 0) parts.emplace_back(text.substr(0, colon));
    text.remove_prefix(std::min(colon + 1, text.size()));
  }
  return parts;
}

// One overload a type: sets OUT to VALUE, or returns false if it takes no such thing.
class Reading {
 public:
  Reading(const ConfigKey& key, const ConfigValue& value, const ConfigUse& use)
      : key_(key), value_(value), use_(use) {}

  bool into(bool& out) const { return take(out); }

  bool into(std::uint64_t& out) const {
    const auto* number = std::get_if<std::int64_t>(&value_);
    if (number == nullptr || *number < 0) return false;
    out = static_cast<std::uint64_t>(*number);
    return out >= key_.min && out <= key_.max;
  }

  bool into(Bytes& out) const {
    const auto* number = std::get_if<std::int64_t>(&value_);
    if (number != nullptr && *number >= 0) return set(out.count, static_cast<std::uint64_t>(*number));
    const auto* text = std::get_if<std::string>(&value_);
    const auto bytes = text != nullptr ? parse_bytes(*text) : std::nullopt;
    return bytes && set(out.count, *bytes);
  }

  bool into(Share& out) const {
    const auto* text = std::get_if<std::string>(&value_);
    out.is_percentage = text != nullptr;
    if (text == nullptr) return into(out.number);
    const auto number = text->ends_with('%')
                            ? whole_number(std::string_view(*text).substr(0, text->size() - 1))
                            : std::nullopt;
    if (!number || *number < 1) return false;
    out.number = static_cast<std::uint64_t>(*number);
    return out.number <= kWhole;
  }

  bool into(Lapse& out) const {
    const auto* text = std::get_if<std::string>(&value_);
    if (text == nullptr) return false;
    out = parse_duration(*text);
    return *text == "never" || (out && out->count() > 0);
  }

  bool into(std::string& out) const {
    return take(out) && std::ranges::find(key_.choices, out) != key_.choices.end();
  }

  bool into(WatchPolicy& out) const {
    std::string word;
    if (!into(word)) return false;
    out = static_cast<WatchPolicy>(std::ranges::find(key_.choices, word) - key_.choices.begin());
    return true;
  }

  bool into(std::vector<PathPattern>& out) const {
    std::vector<std::string> globs;
    if (!take(globs)) return false;
    if (!use_.adds) out.clear();
    for (std::string& glob : globs) {
      while (glob.ends_with('/')) glob.pop_back();  // as people write directories
      if (glob.empty()) return false;
      out.push_back({std::move(glob), use_.base});
    }
    return true;
  }

 private:
  template <class T>
  bool take(T& out) const {
    const auto* value = std::get_if<T>(&value_);
    return value != nullptr && set(out, *value);
  }

  template <class T>
  static bool set(T& out, const T& value) {
    out = value;
    return true;
  }

  const ConfigKey& key_;
  const ConfigValue& value_;
  const ConfigUse& use_;
};

// One overload a type: a value of it, written in TOML.
class Writing {
 public:
  explicit Writing(const ConfigKey& key) : key_(key) {}

  std::string text(bool value) const { return value ? "true" : "false"; }
  std::string text(std::uint64_t value) const { return std::to_string(value); }
  std::string text(Bytes value) const {
    const std::string size = exact_bytes_text(value.count);
    return whole_number(size) ? size : quoted(size);
  }
  std::string text(Share value) const {
    const std::string number = std::to_string(value.number);
    return value.is_percentage ? quoted(number + "%") : number;
  }
  std::string text(Lapse value) const { return quoted(value ? exact_duration_text(*value) : "never"); }
  std::string text(const std::string& value) const { return quoted(value); }
  std::string text(WatchPolicy value) const { return quoted(key_.choices[static_cast<std::size_t>(value)]); }
  std::string text(const std::vector<PathPattern>& value) const {
    std::string list;
    for (const auto& pattern : value) list += (list.empty() ? "" : ", ") + quoted(pattern.glob);
    return "[" + list + "]";
  }

 private:
  const ConfigKey& key_;
};

// One overload a type: what is said of the values that it takes.
class Wording {
 public:
  explicit Wording(const ConfigKey& key) : key_(key) {}

  std::string of(bool Config::*) const { return "true or false"; }
  std::string of(std::uint64_t Config::*) const {
    return "a number from " + std::to_string(key_.min) + " to " + std::to_string(key_.max);
  }
  std::string of(Bytes Config::*) const { return R"(a size in whole units such as "500MB" or "2GiB")"; }
  std::string of(Share Config::*) const {
    return "a number from " + std::to_string(key_.min) + " to " + std::to_string(key_.max) +
           R"(, or a percentage from "1%" to "100%")";
  }
  std::string of(Lapse Config::*) const {
    return R"(a duration from "1s" to "36525d" such as "30min" or "2h", or "never")";
  }
  std::string of(std::string Config::*) const { return "one of " + joined(key_.choices); }
  std::string of(WatchPolicy Config::*) const { return "one of " + joined(key_.choices); }
  std::string of(std::vector<PathPattern> Config::*) const {
    return "a list of patterns such as " + std::string(key_.example);
  }

 private:
  const ConfigKey& key_;
};

ConfigValue bool_from(const std::string& text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return text;
}

ConfigValue number_from(const std::string& text) {
  const auto number = whole_number(text);
  return number ? ConfigValue(*number) : ConfigValue(text);
}

}  // namespace

std::span<const ConfigKey> config_keys() {
  return kKeys;
}

const ConfigKey* find_config_key(std::string_view name) {
  const auto* found = std::ranges::find(kKeys, name, &ConfigKey::name);
  return found == kKeys.end() ? nullptr : found;
}

std::string config_key_suggestion(std::string_view name) {
  const auto near = did_you_mean(name, kNames);
  const auto sections = near.empty() ? in_sections(name) : std::vector<std::string_view>();
  return sections.empty() ? near : "; did you mean " + alternatives(sections) + "?";
}

std::string variable_of(const ConfigKey& key) {
  std::string name = "KILN_";
  for (const char letter : key.name) {
    name += letter == '.'                    ? '_'
            : letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A')
                                             : letter;
  }
  return name;
}

ConfigValue value_from_text(const ConfigKey& key, const std::string& text) {
  if (std::holds_alternative<bool Config::*>(key.member)) return bool_from(text);
  if (std::holds_alternative<std::uint64_t Config::*>(key.member)) return number_from(text);
  if (std::holds_alternative<Share Config::*>(key.member)) return number_from(text);
  if (std::holds_alternative<std::vector<PathPattern> Config::*>(key.member)) return split(text);
  return text;
}

namespace {

// Of a word that is misspelt, or written in capitals.
std::string choice_suggestion(const ConfigKey& key, const ConfigValue& value) {
  const auto* const text = std::get_if<std::string>(&value);
  if (text == nullptr) return {};
  std::string word = *text;
  std::ranges::transform(word, word.begin(), [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  });
  return did_you_mean(word, key.choices);
}

}  // namespace

Result<void> set_value(Config& config, const ConfigKey& key, const ConfigValue& value, const ConfigUse& use) {
  const Reading reading(key, value, use);
  if (std::visit([&](auto member) { return reading.into(config.*member); }, key.member)) return {};
  return Error{Reason::config,
               std::string(key.name) + " is " + allowed_values(key) + choice_suggestion(key, value),
               {}};
}

std::string allowed_values(const ConfigKey& key) {
  return std::visit([&](auto member) { return Wording(key).of(member); }, key.member);
}

const Config& default_config() {
  static const Config config = [] {
    Config made;
    for (const ConfigKey& key : kKeys) {
      // A default that its own key does not take would be a bug, which a test of the table finds.
      (void)set_value(made, key, value_from_text(key, std::string(key.default_text)), {});
    }
    return made;
  }();
  return config;
}

std::string toml_text(const Config& config, const ConfigKey& key) {
  return std::visit([&](auto member) { return Writing(key).text(config.*member); }, key.member);
}

}  // namespace kiln
