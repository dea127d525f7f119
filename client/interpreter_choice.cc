#include "client/interpreter_choice.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/interpreter_search.h"
#include "client/own_command.h"
#include "client/program_path.h"
#include "common/path_text.h"
#include "common/shell_word.h"
#include "common/unique_fd.h"
#include "common/variables.h"

namespace kiln {
namespace {

constexpr char kUsual[] = "/usr/bin/python3";

Error missing(const std::string& what, const std::string& given) {
  return {Reason::interpreter_missing, "no interpreter " + what, use_another_interpreter(given)};
}

// By its first bytes: what somebody forgot to make executable.
bool looks_like_a_program(const std::string& path) {
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  char magic[4]{};
  const ssize_t size = fd ? ::read(fd.get(), magic, sizeof magic) : -1;
  const std::string_view begin(magic, size > 0 ? static_cast<std::size_t>(size) : 0);
  return begin.starts_with("#!") || begin ==
                                        "\x7f"
                                        "ELF";
}

// PATH, that of what was GIVEN, is no program.
Error unusable(const std::string& path, const std::string& given) {
  if (!looks_like_a_program(path)) return missing(path, given);
  return {Reason::interpreter, path + " cannot be executed: it is not marked as a program",
          "chmod +x " + shell_word(path)};
}

bool is_program(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Result<ChosenInterpreter> of_version(const WantedVersion& version, const std::string& given) {
  const auto path = find_interpreter(version);
  if (path) return ChosenInterpreter{*path, *path};
  Error missing = path.error();
  if (missing.hint.empty()) missing.hint = use_another_interpreter(given);
  return missing;
}

Result<ChosenInterpreter> by_path(const std::string& given) {
  const std::string path = is_directory(given) ? path_in(given, "bin/python") : given;
  if (!is_program(path)) return unusable(path, given);
  return ChosenInterpreter{made_absolute(path), path};
}

Result<ChosenInterpreter> choose(const std::string& given) {
  if (given.empty())
    return Error{Reason::interpreter_missing, "the interpreter's name is empty", use_another_interpreter()};
  if (given.find('/') != std::string::npos) return by_path(given);
  if (const auto version = parse_version(given)) return of_version(*version, given);
  const auto found = find_on_path(given);
  if (!found && is_directory(given)) return by_path(given);
  if (!found) return missing("named " + given + " on PATH", given);
  // Python looks argv[0] up on PATH by itself; where that would find Kiln, it gets the path.
  return ChosenInterpreter{found->path, found->first ? given : found->path};
}

}  // namespace

const std::string& ChosenInterpreter::executed() const {
  if (!script.empty()) return script;
  return argv0.find('/') != std::string::npos ? argv0 : path;
}

Result<ChosenInterpreter> choose_interpreter(const std::optional<std::string>& requested) {
  if (requested) return choose(*requested);
  if (const char* variable = value_of("KILN_PYTHON")) {
    auto chosen = choose(variable);
    if (chosen || chosen.error().reason != Reason::interpreter_missing) return chosen;
    return Error{chosen.error().reason, chosen.error().message + ", as KILN_PYTHON has it",
                 use_another_interpreter(variable)};
  }
  if (const char* venv = value_of("VIRTUAL_ENV")) {
    const std::string path = std::string(venv) + "/bin/python";
    if (is_program(path)) return by_path(path);
  }
  return choose("python3");
}

std::optional<std::string> named_interpreter(const std::optional<std::string>& requested) {
  if (requested) return requested;
  const char* const variable = value_of("KILN_PYTHON");
  return variable != nullptr ? std::optional<std::string>(variable) : std::nullopt;
}

Result<ChosenInterpreter> choose_behind_link(const std::string& name) {
  const auto found = find_on_path(name);
  if (!found) return missing("named " + name + " on PATH behind the link to kiln", name);
  return ChosenInterpreter{found->path, found->path};
}

namespace {

// Else it is a directory of something else, which is not to be cleared (PEP 405).
bool is_environment(const std::string& directory) {
  return ::access((directory + "/pyvenv.cfg").c_str(), F_OK) == 0;
}

}  // namespace

std::optional<Error> broken_environment() {
  const char* const venv = value_of("VIRTUAL_ENV");
  if (venv == nullptr || is_program(std::string(venv) + "/bin/python")) return std::nullopt;
  return Error{Reason::interpreter,
               std::string("the virtual environment ") + venv + " has no interpreter any more",
               is_environment(venv) ? "python3 -m venv --clear " + shell_word(venv) : "unset VIRTUAL_ENV"};
}

std::string use_another_interpreter(const std::string& present) {
  if (present == kUsual) return "sudo apt-get install --reinstall python3-minimal";
  if (!is_program(kUsual)) return "sudo apt-get install python3";
  const auto again =
      command_with_python(kUsual, present.empty() ? std::nullopt : std::optional<std::string>(present));
  return again ? *again : std::string("export KILN_PYTHON=") + kUsual;
}

bool is_script(const std::string& path) {
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  char magic[2]{};
  return fd && ::read(fd.get(), magic, sizeof magic) == sizeof magic && magic[0] == '#' && magic[1] == '!';
}

}  // namespace kiln
