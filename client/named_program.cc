#include "client/named_program.h"

#include <fcntl.h>
#include <unistd.h>

#include <optional>
#include <string_view>

#include "client/program_path.h"
#include "common/script_start.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

// The path by which a shell would start it: relative if PATH is.
std::optional<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  for (auto& place : places_on_path(name)) {
    if (is_other_program(place)) return place;
  }
  return std::nullopt;
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

}  // namespace

std::vector<char*> NamedProgram::command_line(std::span<char*> arguments) const {
  std::vector<char*> line;
  for (const auto& argument : first_arguments) line.push_back(const_cast<char*>(argument.c_str()));
  line.push_back(const_cast<char*>(path.c_str()));
  line.insert(line.end(), arguments.begin(), arguments.end());
  return line;
}

Result<NamedProgram> find_named_program(const std::string& name) {
  auto path = find_program(name);
  if (!path) return Error{Reason::not_found, "no program " + name + " on PATH", "kiln x /path/to/" + name};
  auto start = script_start(read_head(*path));
  const bool may_run = ::access(path->c_str(), X_OK) == 0;
  auto interpreter = start && may_run && is_python(start->program)
                         ? choose_interpreter(start->program, "run")
                         : Result<ChosenInterpreter>(Error{Reason::not_python, {}, {}});
  if (interpreter && start->starter == Starter::kernel && !is_own_program(start->program))
    interpreter->script = *path;
  const bool by_shell = start && start->starter == Starter::shell;
  return NamedProgram{std::move(*path), std::move(interpreter),
                      start ? std::move(start->arguments) : std::vector<std::string>(), by_shell};
}

}  // namespace kiln
