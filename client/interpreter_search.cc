#include "client/interpreter_search.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <vector>

#include "client/interpreter_choice.h"
#include "client/program_output.h"
#include "client/program_path.h"
#include "common/variables.h"

namespace kiln {
namespace {

struct Candidate {
  std::string path;
  std::optional<int> patch;  // nothing: it would have to be asked
};

// Takes a decimal number from the beginning of TEXT.
std::optional<int> take_number(std::string_view& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || text.starts_with('-')) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take_dot(std::string_view& text) {
  if (!text.starts_with('.')) return false;
  text.remove_prefix(1);
  return true;
}

std::string program_name(PythonVersion version) {
  return "python" + std::to_string(version.major) + "." + std::to_string(version.minor);
}

std::string pyenv_versions() {
  const auto root = text_of("PYENV_ROOT");
  return (root.empty() ? text_of("HOME") + "/.pyenv" : root) + "/versions";
}

std::string uv_versions() {
  auto dir = text_of("UV_PYTHON_INSTALL_DIR");
  if (!dir.empty()) return dir;
  const auto data = text_of("XDG_DATA_HOME");
  return (data.empty() ? text_of("HOME") + "/.local/share" : data) + "/uv/python";
}

// Those in the directories PREFIX + VERSION + (end or "-...") in DIR, newest first.
std::vector<Candidate> managed(const std::string& dir, std::string_view prefix, PythonVersion version) {
  std::vector<Candidate> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(dir, ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(prefix)) continue;
    const auto rest = std::string_view(name).substr(prefix.size());
    const auto release = parse_version(rest.substr(0, prefix.empty() ? rest.size() : rest.find('-')));
    if (!release || !release->patch || release->version != version) continue;
    found.push_back({entry.path().string() + "/bin/" + program_name(version), release->patch});
  }
  std::ranges::sort(found, std::ranges::greater(), &Candidate::patch);
  return found;
}

std::vector<Candidate> candidates(PythonVersion version) {
  const auto name = program_name(version);
  std::vector<Candidate> all;
  for (const auto& place : places_on_path(name)) all.push_back({place, {}});
  for (const auto& one : managed(pyenv_versions(), "", version)) all.push_back(one);
  for (const auto& one : managed(uv_versions(), "cpython-", version)) all.push_back(one);
  for (const std::string dir : {"/usr/local/bin/", "/usr/bin/"}) all.push_back({dir + name, {}});
  return all;
}

// What the interpreter at PATH says of its version.
std::optional<WantedVersion> ask_version(const std::string& path) {
  const auto said =
      program_output({path, "-ES", "-c", "import sys; sys.stdout.write('%d.%d.%d' % sys.version_info[:3])"});
  return said ? parse_version(*said) : std::nullopt;
}

bool fits(const Candidate& candidate, const WantedVersion& wanted) {
  if (!is_other_program(candidate.path) || is_script(candidate.path)) return false;
  if (!wanted.patch || candidate.patch) return !wanted.patch || candidate.patch == wanted.patch;
  return ask_version(candidate.path) == wanted;
}

}  // namespace

std::optional<WantedVersion> parse_version(std::string_view text) {
  const auto major = take_number(text);
  if (!major || !take_dot(text)) return std::nullopt;
  const auto minor = take_number(text);
  if (!minor) return std::nullopt;
  WantedVersion wanted{{*major, *minor}};
  if (take_dot(text)) {
    wanted.patch = take_number(text);
    if (!wanted.patch) return std::nullopt;
  }
  if (!text.empty()) return std::nullopt;
  return wanted;
}

std::string version_text(const WantedVersion& wanted) {
  auto text = std::to_string(wanted.version.major) + "." + std::to_string(wanted.version.minor);
  if (wanted.patch) text += "." + std::to_string(*wanted.patch);
  return text;
}

namespace {

// By a manager that is there. Empty: none is.
std::string install(const std::string& version) {
  if (find_on_path("uv")) return "uv python install " + version;
  return find_on_path("pyenv") ? "pyenv install " + version : "";
}

}  // namespace

Result<std::string> find_interpreter(const WantedVersion& wanted) {
  for (const auto& candidate : candidates(wanted.version)) {
    if (fits(candidate, wanted)) return made_absolute(candidate.path);
  }
  const auto version = version_text(wanted);
  return Error{
      Reason::interpreter_missing,
      "no interpreter of Python " + version + " on PATH, in /usr/local/bin or /usr/bin, of pyenv or uv",
      install(version)};
}

std::string interpreter_behind(const std::string& path) {
  if (!is_script(path)) return path;
  const auto said = program_output({path, "-ES", "-c", "import sys; sys.stdout.write(sys.executable)"});
  return said && said->starts_with('/') ? *said : path;
}

}  // namespace kiln
