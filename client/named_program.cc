#include "client/named_program.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "client/program_path.h"
#include "common/path_text.h"
#include "common/script_start.h"
#include "common/shell_word.h"
#include "common/suggestion.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

// There are so many programs that one of few letters is near to any name.
constexpr std::size_t kLongName = 4;

// The path by which a shell would start it: relative if PATH is.
std::optional<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  for (auto& place : places_on_path(name)) {
    if (is_other_program(place)) return place;
  }
  return std::nullopt;
}

// In an environment that lies here, but is not activated.
std::optional<std::string> find_in_environment(const std::string& name) {
  for (const char* const environment : {".venv", "venv", "env"}) {
    auto place = path_in(path_in(environment, "bin"), name);
    if (is_other_program(place)) return place;
  }
  return std::nullopt;
}

std::optional<std::string> similar_on_path(const std::string& name) {
  std::set<std::string> found;
  for (const auto& place : places_on_path(name)) {
    std::error_code failed;
    for (const auto& file : std::filesystem::directory_iterator(directory_of(place), failed))
      found.insert(file.path().filename());
  }
  const std::vector<std::string_view> names(found.begin(), found.end());
  const auto near = name.size() < kLongName ? std::nullopt : suggestion_for(name, names, 1);
  return near && find_program(std::string(*near)) ? std::optional(std::string(*near)) : std::nullopt;
}

// kiln COMMAND NAME ARGUMENTS...
std::string again(const std::string& command, const std::string& name, const NamedUse& use) {
  std::string line = "kiln " + command + " " + shell_word(name);
  for (const char* const argument : use.arguments) line += " " + shell_argument(argument);
  return line;
}

Error no_program(const std::string& name, const NamedUse& use) {
  Error missing{Reason::not_found, "no program " + name + " on PATH", "kiln x --help"};
  if (const auto place = find_in_environment(name)) {
    missing.message += ", but one in an environment here";
    missing.hint = again(use.by_name, *place, use);
  } else if (const auto near = similar_on_path(name)) {
    missing.message += "; did you mean " + *near + "?";
    missing.hint = again(use.by_name, *near, use);
  }
  return missing;
}

std::string read_head(const std::string& path) {
  const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::string head(kScriptHead, '\0');
  const ssize_t size = file ? ::read(file.get(), head.data(), head.size()) : 0;
  head.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return head;
}

bool is_python(const std::string& program) {
  return std::string_view(program).substr(program.rfind('/') + 1).starts_with("python");
}

// No variable changes what the first line of the program PATH says; an option of another command does.
Error no_interpreter(Error missing, const std::string& path, const NamedUse& use) {
  constexpr std::string_view kVariable = "export KILN_PYTHON=";
  if (missing.hint.starts_with(kVariable))
    missing.hint = again(use.by_path + " --python " + missing.hint.substr(kVariable.size()), path, use);
  return missing;
}

}  // namespace

std::vector<char*> NamedProgram::command_line(std::span<char*> arguments) const {
  std::vector<char*> line;
  for (const auto& argument : first_arguments) line.push_back(const_cast<char*>(argument.c_str()));
  line.push_back(const_cast<char*>(path.c_str()));
  line.insert(line.end(), arguments.begin(), arguments.end());
  return line;
}

Result<NamedProgram> find_named_program(const std::string& name, const NamedUse& use) {
  auto path = find_program(name);
  if (!path) return no_program(name, use);
  auto start = script_start(read_head(*path));
  const bool may_run = ::access(path->c_str(), X_OK) == 0;
  auto interpreter = start && may_run && is_python(start->program)
                         ? choose_interpreter(start->program)
                         : Result<ChosenInterpreter>(Error{Reason::not_python, {}, {}});
  if (interpreter && start->starter == Starter::kernel && !is_own_program(start->program))
    interpreter->script = *path;
  if (!interpreter) interpreter = no_interpreter(interpreter.error(), *path, use);
  const bool by_shell = start && start->starter == Starter::shell;
  return NamedProgram{std::move(*path), std::move(interpreter),
                      start ? std::move(start->arguments) : std::vector<std::string>(), by_shell};
}

}  // namespace kiln
