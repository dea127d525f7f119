// `kiln x`: a program that is found on PATH, as a shell would, and run warm if it is a Python script.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "client/command.h"
#include "client/decision_log.h"
#include "client/exec_failure.h"
#include "client/named_program.h"
#include "client/program_path.h"
#include "client/run.h"
#include "common/print_error.h"
#include "common/screen.h"
#include "common/shell_word.h"

namespace kiln {
namespace {

constexpr const char* kHelp =
    "Runs a program that is written in Python, such as pytest or black, warm.\n"
    "Usage: kiln x NAME [ARGUMENTS...]\n\n"
    "NAME is looked up on PATH, unless there is a slash in it. Its interpreter is that of its first line. "
    "What is no Python script is executed as it is.\n";
constexpr int kNotFound = 127;  // as shells answer
constexpr int kNotExecutable = 126;

// The kernel, and a shell where the kernel does not know the form (execvp(3)), do as ever. Returns only if
// they cannot.
int execute(const std::string& path, std::span<char*> arguments) {
  std::vector<char*> command{const_cast<char*>(path.c_str())};
  command.insert(command.end(), arguments.begin(), arguments.end());
  command.push_back(nullptr);
  ::execvp((path.find('/') == std::string::npos ? "./" + path : path).c_str(), command.data());
  const int failure = errno;
  Error error = exec_failure("cannot run", path, failure);
  if (error.hint.empty()) error.hint = "kiln x --help";
  print_error(error);
  return failure == ENOENT ? kNotFound : kNotExecutable;
}

// A shell makes the environment anew before it starts an interpreter: PWD is set, names that are none to it
// are dropped, all are in another order. So the shell itself does that, and starts us, for `kiln run`, in the
// interpreter's place. Returns if that cannot be: bash, if that is /bin/sh, would put our path into "_".
void run_behind_shell(const NamedProgram& program, std::span<char*> command) {
  std::error_code failure;
  const auto shell = std::filesystem::canonical("/bin/sh", failure);
  const auto own = std::filesystem::read_symlink("/proc/self/exe", failure);
  if (failure || shell.filename() != "dash" || !is_own_program(own) ||
      is_python_name(own.filename().string()))
    return;
  std::string own_path = own;
  std::string python = program.interpreter->path;
  std::vector<char*> line;
  for (const char* word :
       {"/bin/sh", "-c", "exec \"$0\" \"$@\"", own_path.c_str(), "run", "--python", python.c_str()})
    line.push_back(const_cast<char*>(word));
  line.insert(line.end(), command.begin(), command.end());
  line.push_back(nullptr);
  ::execv("/bin/sh", line.data());
}

// An option may stand in its place; "-" is none, nor a name.
Error no_program(std::span<char*> arguments) {
  const std::string option = arguments.empty() ? "" : arguments[0];
  if (option.size() < 2) return {Reason::usage, "the name of a program is missing", "kiln x pytest"};
  const auto python = take_python_option(arguments, "x");
  if (!python || !*python)
    return {Reason::usage, "x has no option " + option + ": a program's own come behind its name",
            "kiln x --help"};
  return {Reason::usage, "x has no option --python: the interpreter is that of the program's first line",
          "kiln run --python " + shell_word(**python) + " -m " +
              (arguments.empty() ? "NAME" : shell_word(arguments[0]))};
}

}  // namespace

int x_command(std::span<char*> arguments) {
  const std::string_view first = arguments.empty() ? "" : arguments[0];
  if (first == "-h" || first == "--help") {
    show(kHelp);
    return kExitDone;
  }
  if (first.empty() || first.starts_with('-')) {
    print_error(no_program(arguments));
    return kExitUsage;
  }
  const auto program = find_named_program(std::string(first), {.arguments = arguments.subspan(1)});
  if (!program) {
    print_error(program.error());
    return kNotFound;
  }
  if (!program->interpreter) {
    const Error& error = program->interpreter.error();
    if (logs_decisions()) log_decision("exec", error.reason, error.message);
    return execute(program->path, arguments.subspan(1));
  }
  auto command = program->command_line(arguments.subspan(1));
  if (program->by_shell) {
    run_behind_shell(*program, command);
    return execute(program->path, arguments.subspan(1));
  }
  run_program(*program->interpreter, command);
}

}  // namespace kiln
