// `kiln config`: every key of the configuration, with its value and where that comes from. It reads the files
// itself, so that it answers without a daemon, and of the one who asks: by his environment, at his place.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdio>
#include <sstream>
#include <string>

#include "client/command.h"
#include "client/configuration_mistake.h"
#include "client/current_path.h"
#include "client/known_path.h"
#include "client/program_findings.h"
#include "common/absence.h"
#include "common/arguments.h"
#include "common/config.h"
#include "common/config_key.h"
#include "common/json_text.h"
#include "common/print_error.h"
#include "common/printable.h"
#include "common/screen.h"

namespace kiln {
namespace {

namespace json = boost::json;

constexpr int kFormat = 1;  // of the JSON documents

struct Line {
  std::string key;
  std::string value;
  std::string origin;
};

std::string origin_text(const Config& config, const ConfigKey& key) {
  const auto found = config.origins.find(key.name);
  if (found == config.origins.end()) return "default";
  std::string text;
  for (const auto& origin : found->second) text += (text.empty() ? "" : ", ") + origin.text();
  return text;
}

// A column, and the gap behind it.
std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(width - text.size() + 2, ' ');
}

void print_settings(const Config& config) {
  std::vector<Line> lines;
  for (const ConfigKey& key : config_keys()) {
    lines.push_back({std::string(key.name), toml_text(config, key), origin_text(config, key)});
  }
  const auto width = [&](std::string Line::*column) {
    const auto widest = std::ranges::max(lines, {}, [&](const Line& line) { return (line.*column).size(); });
    return (widest.*column).size();
  };
  const auto keys = width(&Line::key);
  const auto values = width(&Line::value);
  std::string text;
  for (const auto& [key, value, origin] : lines)
    text += padded(key, keys) + padded(value, values) + origin + "\n";
  show(text);
}

// One overload a type: bytes and seconds as numbers, "never" as null.
json::value to_json(bool value) {
  return value;
}
json::value to_json(std::uint64_t value) {
  return value;
}
json::value to_json(Bytes value) {
  return value.count;
}
json::value to_json(const std::string& value) {
  return json::string(value);
}
json::value to_json(Lapse value) {
  return value ? json::value(value->count()) : json::value(nullptr);
}
json::value to_json(Share value) {
  if (value.is_percentage) return json::string(std::to_string(value.number) + "%");
  return value.number;
}
json::value to_json(WatchPolicy value) {
  switch (value) {
    case WatchPolicy::all:
      return "all";
    case WatchPolicy::none:
      return "none";
    default:
      return "imported";
  }
}
json::value to_json(const std::vector<PathPattern>& value) {
  json::array list;
  for (const auto& pattern : value) list.push_back(json::string(pattern.glob));
  return list;
}

json::object to_json(const ConfigOrigin& origin) {
  if (!origin.variable.empty()) return {{"variable", origin.variable}};
  return {{"file", origin.file}, {"line", origin.line}};
}

json::object to_json(const Config& config) {
  json::object settings;
  for (const ConfigKey& key : config_keys()) {
    json::array origins;
    const auto found = config.origins.find(key.name);
    if (found != config.origins.end()) {
      for (const auto& origin : found->second) origins.push_back(to_json(origin));
    }
    json::object& setting = (settings[key.name] = json::object()).as_object();
    setting["value"] = std::visit([&](auto member) { return to_json(config.*member); }, key.member);
    setting["origins"] = std::move(origins);
  }
  return {{"version", kFormat}, {"settings", std::move(settings)}};
}

bool is_there(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

void print_paths(const ConfigPaths& paths) {
  const std::string user = paths.user.value_or("none: neither HOME nor KILN_CONFIG is set");
  const char* missing = paths.user && !is_there(*paths.user) ? " (not there)" : "";
  show("user     " + user + missing + "\nproject  " + paths.project.value_or("none") + "\n");
}

json::object to_json(const ConfigPaths& paths) {
  json::object document{{"version", kFormat}, {"user", nullptr}, {"project", nullptr}};
  if (paths.user) document["user"] = {{"path", *paths.user}, {"exists", is_there(*paths.user)}};
  if (paths.project) document["project"] = {{"path", *paths.project}, {"exists", true}};
  return document;
}

// TEXT as a comment of TOML, in lines of COLUMNS at most; 0: in one.
std::string comment(const std::string& text, unsigned columns) {
  const std::string_view mark = "# ";
  std::istringstream lines(wrapped(text, columns > mark.size() ? columns - mark.size() : 0));
  std::string all;
  for (std::string line; std::getline(lines, line);) all.append(mark).append(line) += '\n';
  return all;
}

// A kiln.toml that says what holds anyway, with all there is to know in its comments.
void print_description() {
  const unsigned columns = terminal_columns(STDOUT_FILENO);
  std::string section;
  for (const ConfigKey& key : config_keys()) {
    const auto dot = key.name.find('.');
    const std::string of(key.name.substr(0, dot));
    const char* reach = key.scope == ConfigScope::project ? "" : " Not in a project's file.";
    if (of != section) std::printf("%s[%s]\n", section.empty() ? "" : "\n", of.c_str());
    section = of;
    const std::string values =
        "It is " + allowed_values(key) + "." + reach + " Variable: " + variable_of(key);
    std::printf("%s%s%s = %s\n", comment(std::string(key.summary), columns).c_str(),
                comment(values, columns).c_str(), std::string(key.name.substr(dot + 1)).c_str(),
                toml_text(default_config(), key).c_str());
  }
}

// Of what the environment says in vain.
void warn_of_variables() {
  if (const auto missing = missing_configuration()) print_warning(*missing);
  for (const Finding& finding : unknown_variable_findings())
    print_warning({Reason::config, finding.what, finding.hint});
}

int show_paths(const std::string& path, bool as_json) {
  const auto paths = config_paths(path, ::getenv);
  if (!paths) {
    print_error(paths.error());
    return exit_code(paths.error());
  }
  if (as_json) {
    std::puts(json_text(to_json(*paths)).c_str());
  } else {
    print_paths(*paths);
  }
  return kExitDone;
}

int show_settings(const std::string& path, bool as_json) {
  const auto config = load_config(path);
  if (!config) {
    print_error(config.error());
    return exit_code(config.error());
  }
  if (as_json) {
    std::puts(json_text(to_json(*config)).c_str());
  } else {
    print_settings(*config);
  }
  return kExitDone;
}

}  // namespace

int config_command(std::span<char*> arguments) {
  CLI::App app("Shows every setting, with its value and where that comes from", "kiln config");
  std::string path = ".";
  bool as_json = false;
  bool only_paths = false;
  bool describe = false;
  app.add_option("PATH", path, "a file or directory, whose project's settings are shown (default: .)")
      ->type_name("");
  auto* json_flag =
      app.add_flag("--json", as_json,
                   "one JSON document (keys version, settings; of each setting value, in bytes or "
                   "seconds, and origins, with file and line or variable; with --path the keys "
                   "version, user, project, each with path and exists, or null)");
  auto* path_flag = app.add_flag("--path", only_paths, "the files that are read");
  app.add_flag("--describe", describe, "all keys with their defaults and meaning, in the form of a kiln.toml")
      ->excludes(json_flag)
      ->excludes(path_flag);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  if (describe) {
    print_description();
    return kExitDone;
  }
  const auto absolute = absolute_path_of(path);
  if (!absolute) {
    print_error(absolute.error());
    return exit_code(absolute.error());
  }
  if (const std::string absence = absence_of(*absolute); !absence.empty()) {
    print_error({Reason::not_found, printable(*absolute) + ": " + absence + meant_instead_of(*absolute),
                 "kiln config"});
    return kExitFix;
  }
  warn_of_variables();
  return only_paths ? show_paths(*absolute, as_json) : show_settings(*absolute, as_json);
}

}  // namespace kiln
