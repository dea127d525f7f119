// `kiln x`: a program that is found on PATH, as a shell would, and run warm if it is a Python script.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "client/command.h"
#include "client/decision_log.h"
#include "client/program_path.h"
#include "client/run.h"
#include "common/print_error.h"
#include "common/script_start.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

constexpr const char* kHelp =
    "Runs a program that is written in Python, such as pytest or black, warm.\n"
    "Usage: kiln x NAME [ARGUMENTS...]\n\n"
    "NAME is looked up on PATH, unless there is a slash in it. Its interpreter is that of its first line. "
    "What is no\n"
    "Python script is executed as it is.\n";
constexpr int kNotFound = 127;  // as shells answer
constexpr int kNotExecutable = 126;

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

// The kernel, and a shell where the kernel does not know the form (execvp(3)), do as ever. Returns only if
// they cannot.
int execute(const std::string& path, std::span<char*> arguments) {
  std::vector<char*> command{const_cast<char*>(path.c_str())};
  command.insert(command.end(), arguments.begin(), arguments.end());
  command.push_back(nullptr);
  ::execvp((path.find('/') == std::string::npos ? "./" + path : path).c_str(), command.data());
  const int failure = errno;
  print_error(errno_error("cannot run " + path));
  return failure == ENOENT ? kNotFound : kNotExecutable;
}

}  // namespace

int x_command(std::span<char*> arguments) {
  const std::string_view first = arguments.empty() ? "" : arguments[0];
  if (first == "-h" || first == "--help") {
    std::fputs(kHelp, stdout);
    return kExitDone;
  }
  if (first.empty() || first.starts_with('-')) {
    print_error({Reason::usage, "the name of a program is missing", "kiln x pytest"});
    return kExitUsage;
  }
  const auto path = find_program(std::string(first));
  if (!path) {
    print_error({Reason::usage, "no program " + std::string(first) + " on PATH", {}});
    return kNotFound;
  }
  const auto start = script_start(read_head(*path));
  const bool may_run = ::access(path->c_str(), X_OK) == 0;
  const auto interpreter = start && may_run && is_python(start->program)
                               ? choose_interpreter(start->program, "run")
                               : Result<ChosenInterpreter>(Error{Reason::not_python, {}, {}});
  if (!interpreter) {
    if (logs_decisions()) log_decision("exec", interpreter.error().reason, interpreter.error().message);
    return execute(*path, arguments.subspan(1));
  }
  std::vector<char*> command;
  for (const auto& argument : start->arguments) command.push_back(const_cast<char*>(argument.c_str()));
  command.push_back(const_cast<char*>(path->c_str()));
  command.insert(command.end(), arguments.begin() + 1, arguments.end());
  run_program(*interpreter, command);
}

}  // namespace kiln
