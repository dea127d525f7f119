#include "client/program_findings.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "client/installation.h"
#include "client/interpreter_choice.h"
#include "client/program_output.h"
#include "client/program_path.h"
#include "common/config_key.h"
#include "common/paths.h"
#include "common/printable.h"
#include "common/shell_word.h"
#include "common/suggestion.h"
#include "common/variables.h"
#include "common/version.h"

namespace kiln {
namespace fs = std::filesystem;
namespace {

// Below the directory of bin/kiln.
constexpr std::array kParts{"bin/kilnd", "lib/kiln/kiln_image.so", "lib/kiln/image.py",
                            "lib/kiln/compile_worker.py", "lib/kiln/probe.py"};

bool is_there(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

bool is_program(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

std::string parent_of(const std::string& path) {
  return fs::path(path).parent_path().string();
}

std::string own_directory() {
  const auto bin_dir = own_bin_dir();
  return bin_dir ? *bin_dir : "";
}

std::string without_line_end(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string remove_link(const std::string& link) {
  const bool is_ours = ::access(parent_of(link).c_str(), W_OK | X_OK) == 0;
  return (is_ours ? "rm " : "sudo rm ") + shell_word(link);
}

std::string put_first(const std::string& directory) {
  return "export PATH=" + shell_word(directory) + ":\"$PATH\"";
}

// The first link of each name, by name.
std::map<std::string, std::string> python_links() {
  std::map<std::string, std::string> links;
  for (const auto& directory : places_on_path("")) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(directory, ignored)) {
      const std::string name = entry.path().filename();
      if (is_python_name(name) && is_own_program(entry.path())) links.emplace(name, entry.path());
    }
  }
  return links;
}

Finding link_finding(const std::string& name, const std::string& link) {
  const auto behind = find_on_path(name);
  if (!behind) {
    return {Severity::bad, printable(link) + " leads to kiln, and no other " + name + " follows on PATH",
            remove_link(link)};
  }
  if (behind->first) {
    return {Severity::warn, printable(link) + " has no effect: " + printable(behind->path) + " comes first",
            put_first(parent_of(link))};
  }
  return {Severity::ok, printable(link) + " stands for " + printable(behind->path)};
}

std::vector<std::string> known_variables() {
  std::vector<std::string> names{"KILN_PYTHON",      "KILN_LOG",       "KILN_DISABLE",
                                 "KILN_RUNTIME_DIR", "KILN_CACHE_DIR", "KILN_CONFIG"};
  for (const ConfigKey& key : config_keys()) names.push_back(variable_of(key));
  return names;
}

constexpr std::string_view kPrefix = "KILN_";

// Of Kiln's, by their name.
std::vector<std::string> set_variables() {
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (text.starts_with(kPrefix)) names.emplace_back(text.substr(0, text.find('=')));
  }
  return names;
}

// A misspelt one is silently without effect.
Finding unknown_variable(const std::string& name, const std::vector<std::string>& names) {
  std::vector<std::string_view> tails;  // what all begin with makes none similar
  for (const std::string_view known : names) tails.push_back(known.substr(kPrefix.size()));
  const auto near = suggestion_for(std::string_view(name).substr(kPrefix.size()), tails);
  const std::string meant = near ? "; did you mean " + std::string(kPrefix) + std::string(*near) + "?" : "";
  return {Severity::warn, printable(name) + " is no variable of Kiln's" + meant, "unset " + shell_word(name)};
}

// systemd.unit(5), "Unit File Load Path"; of one name the first counts.
std::vector<std::string> unit_directories() {
  const std::string home = text_of("HOME");
  const std::string config = text_of("XDG_CONFIG_HOME");
  return {(config.empty() ? home + "/.config" : config) + "/systemd/user", "/etc/systemd/user",
          home + "/.local/share/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"};
}

bool is_own_unit(const std::string& name) {
  return name.starts_with("kiln") && name.ends_with(".service");
}

// systemd.service(5), "Command lines": a name is looked up where systemd's makers have fixed it.
std::string found_by_systemd(const std::string& program) {
  if (program.find('/') != std::string::npos) return program;
  for (const char* directory :
       {"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (is_program(directory + program)) return directory + program;
  }
  return program;
}

// What the unit starts: the first word of ExecStart, less the characters that say how (systemd.service(5)).
std::string started_by(const std::string& unit) {
  constexpr std::string_view kKey = "ExecStart=";
  std::ifstream file(unit);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kKey)) continue;
    const auto begin = line.find_first_not_of("-@:+!", kKey.size());
    if (begin == std::string::npos) continue;
    std::string program = line.substr(begin, line.find(' ', begin) - begin);
    if (program.starts_with("%h")) program.replace(0, 2, text_of("HOME"));
    return found_by_systemd(program);
  }
  return {};
}

Finding unit_finding(const std::string& unit, const std::string& own_daemon) {
  const std::string program = started_by(unit);
  const std::string name = fs::path(unit).filename();
  if (!program.starts_with('/') || !is_program(program)) {
    return {Severity::bad, printable(unit) + " starts " + printable(program) + ", which is no program",
            "systemctl --user edit --full " + name};
  }
  std::error_code ignored;
  if (!fs::equivalent(program, own_daemon, ignored)) {
    return {Severity::warn, printable(unit) + " starts another kilnd: " + printable(program),
            "systemctl --user edit --full " + name};
  }
  return {Severity::ok, printable(unit)};
}

}  // namespace

Findings installation_findings() {
  const auto bin_dir = own_bin_dir();
  if (!bin_dir) return {{Severity::bad, bin_dir.error().message}};
  for (const char* part : kParts) {
    const std::string path = parent_of(*bin_dir) + "/" + part;
    if (!is_there(path))
      return {{Severity::bad, printable(path) + " is missing", install_again(*bin_dir, path)}};
  }
  const std::string kilnd = *bin_dir + "/kilnd";
  const auto daemon = program_output({kilnd, "--build-id"});
  if (!daemon) return {{Severity::bad, printable(kilnd) + " does not start", install_again(*bin_dir, kilnd)}};
  if (without_line_end(*daemon) != build_id()) {
    return {{Severity::bad,
             printable(kilnd) + " is of another build: " + printable(without_line_end(*daemon)),
             install_again(*bin_dir, kilnd)}};
  }
  return {{Severity::ok, std::string(build_id()) + " in " + printable(*bin_dir)}};
}

Findings path_findings() {
  const std::string bin_dir = own_directory();
  for (const auto& place : places_on_path("kiln")) {
    if (!is_program(place)) continue;
    if (is_own_program(place)) return {{Severity::ok, printable(place)}};
    return {{Severity::warn, "the kiln on PATH is another: " + printable(place), put_first(bin_dir)}};
  }
  return {{Severity::warn, "kiln is not on PATH", put_first(bin_dir)}};
}

Findings link_findings() {
  Findings findings;
  for (const auto& [name, link] : python_links()) findings.push_back(link_finding(name, link));
  if (findings.empty()) return {{Severity::ok, "no python on PATH leads to kiln"}};
  return findings;
}

Findings interpreter_findings() {
  if (const auto broken = broken_environment())
    return {{Severity::bad, printable(broken->message), broken->hint}};
  const auto chosen = choose_interpreter();
  if (!chosen) return {{Severity::bad, printable(chosen.error().message), chosen.error().hint}};
  const std::string path = printable(chosen->path);
  const auto version = program_output({chosen->path, "-ES", "-c",
                                       "import sys; sys.stdout.write(sys.version.split()[0] + ' ' + "
                                       "sys.implementation.name + '\\n' + sys.executable)"});
  if (!version) {
    return {{Severity::bad, path + " does not start", use_another_interpreter(chosen->path)}};
  }
  const auto line_end = version->find('\n');
  const std::string text = path + ", " + printable(version->substr(0, line_end));
  if (!is_script(chosen->path)) return {{Severity::ok, text}};
  return {{Severity::warn, text + ": a version manager's script, which is executed as it is",
           "export KILN_PYTHON=" + shell_word(version->substr(line_end + 1))}};
}

Findings unknown_variable_findings() {
  Findings findings;
  const auto names = known_variables();
  for (const auto& name : set_variables()) {
    if (std::ranges::count(names, name) == 0) findings.push_back(unknown_variable(name, names));
  }
  return findings;
}

Findings variable_findings() {
  Findings findings = unknown_variable_findings();
  if (const std::string disabled = text_of("KILN_DISABLE"); !disabled.empty() && disabled != "0")
    findings.push_back({Severity::warn, "KILN_DISABLE is set: every run is executed", "unset KILN_DISABLE"});
  if (findings.empty()) return {{Severity::ok, "none of KILN_* is in the way"}};
  return findings;
}

Findings unit_findings() {
  const std::string own_daemon = own_directory() + "/kilnd";
  Findings findings;
  std::set<std::string> seen;
  for (const auto& directory : unit_directories()) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(directory, ignored)) {
      const std::string name = entry.path().filename();
      if (is_own_unit(name) && seen.insert(name).second)
        findings.push_back(unit_finding(entry.path(), own_daemon));
    }
  }
  if (findings.empty()) return {{Severity::ok, "none is installed; the first run starts the daemon"}};
  return findings;
}

}  // namespace kiln
