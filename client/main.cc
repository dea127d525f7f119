// kiln: one program, and, through a link named python*, a drop-in for the interpreter of that name.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "client/command.h"
#include "client/interpreter_choice.h"
#include "client/output.h"
#include "client/own_title.h"
#include "client/program_path.h"
#include "client/run.h"
#include "common/print_error.h"
#include "common/screen.h"
#include "common/shell_word.h"
#include "common/suggestion.h"
#include "common/version.h"

namespace {

using kiln::kExitDone;
using kiln::kExitUsage;

struct Command {
  std::string_view name;
  int (*run)(std::span<char*>);
  std::string_view summary;
};

constexpr std::array kCommands{
    Command{"run", kiln::run_command, "run a program as python would, warm"},
    Command{"x", kiln::x_command, "run a program that is written in Python, such as pytest, warm"},
    Command{"warm", kiln::warm_command, "have a program run ahead before it is run"},
    Command{"shell-init", kiln::shell_init_command, "have new terminals warm what is run most often"},
    Command{"precompile", kiln::precompile_command, "compile files and directories to bytecode"},
    Command{"list", kiln::list_command, "the bytecode files that Kiln knows of, and how they are"},
    Command{"explain", kiln::explain_command, "why a file's bytecode is as it is, and who imports it"},
    Command{"clean", kiln::clean_command, "remove bytecode whose source is gone, or all that Kiln keeps"},
    Command{"gc", kiln::gc_command, "shrink the store of compiled code to its limit"},
    Command{"watch", kiln::watch_command, "keep the bytecode of directories up to date from now on"},
    Command{"unwatch", kiln::unwatch_command, "watch directories no longer"},
    Command{"inspect", kiln::inspect_command, "show what bytecode files hold, and whether they are fresh"},
    Command{"status", kiln::status_command, "daemon, images, cache, interpreters"},
    Command{"stats", kiln::stats_command, "how many runs were served, and why others were not"},
    Command{"doctor", kiln::doctor_command, "find out what needs mending, and by which command"},
    Command{"config", kiln::config_command, "every setting, with its value and where that comes from"},
    Command{"daemon", kiln::daemon_command, "start, stop, restart, run the daemon; show its logs"},
};

void print_help() {
  std::string text =
      "Usage: kiln COMMAND [ARGUMENTS...]\n\nKeeps Python bytecode, and Python itself, warm.\n\nCommands:\n";
  for (const auto& command : kCommands) {
    text += "  " + std::string(command.name) + std::string(13 - command.name.size(), ' ');
    text.append(command.summary) += '\n';
  }
  text +=
      "\n  --version    version of this program\n  --help       this text; `kiln COMMAND --help` for a "
      "command's own\n"
      "\nEnvironment:\n"
      "  KILN_PYTHON       the interpreter, where --python names none\n"
      "  KILN_LOG=1        one line on standard error for each run: how it was served, and why\n"
      "  KILN_DISABLE=1    always execute the interpreter itself\n"
      "  KILN_RUNTIME_DIR  socket and locks (default $XDG_RUNTIME_DIR/kiln, else /tmp/kiln-UID)\n"
      "  KILN_CACHE_DIR    index, store, log (default $XDG_CACHE_HOME/kiln, else ~/.cache/kiln)\n"
      "  KILN_CONFIG       configuration (default $XDG_CONFIG_HOME/kiln/kiln.toml, else "
      "~/.config/kiln/kiln.toml)\n"
      "  KILN_SECTION_KEY  in the place of a key of the configuration: see `kiln config --describe`\n";
  kiln::show(text);
}

std::string with_arguments(std::string command, std::span<char*> arguments) {
  for (const char* const argument : arguments) command += " " + kiln::shell_argument(argument);
  return command;
}

int be_python(const std::string& name, std::span<char*> arguments) {
  const auto interpreter = kiln::choose_behind_link(name);
  if (!interpreter) {
    kiln::Error missing = interpreter.error();
    missing.hint = with_arguments("kiln run --python /usr/bin/python3", arguments);
    kiln::print_error(missing);
    return 127;  // as a shell answers for a program that is not there
  }
  kiln::run_program(*interpreter, arguments);
}

// What would be a program of `kiln run`, or what leads to one in a command line of Python's.
bool is_for_run(const std::string& word) {
  struct stat status {};
  if (word == "-m" || word == "-c" || word.ends_with(".py") || word.ends_with(".pyz")) return true;
  return ::stat(word.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

std::string command_meant(std::string_view name) {
  std::array<std::string_view, kCommands.size()> names;
  std::ranges::transform(kCommands, names.begin(), &Command::name);
  return kiln::did_you_mean(name, names);
}

// Of ARGUMENTS the first is neither command nor option.
kiln::Error unknown(std::span<char*> arguments) {
  constexpr std::array<std::string_view, 2> kOptions{"--version", "--help"};
  const std::string name = arguments[0];
  if (name.empty()) return {kiln::Reason::usage, "the command's name is empty", "kiln --help"};
  if (kiln::is_python_name(name))
    return {kiln::Reason::usage, name + " is no command of Kiln's",
            with_arguments("kiln run --python", arguments)};
  if (is_for_run(name))
    return {kiln::Reason::usage, name + " is no command of Kiln's", with_arguments("kiln run", arguments)};
  if (name == "version" || name == "-v")
    return {kiln::Reason::usage, "unknown " + std::string(name == "-v" ? "option " : "command ") + name,
            "kiln --version"};
  if (name.starts_with('-'))
    return {kiln::Reason::usage, "unknown option " + name + kiln::did_you_mean(name, kOptions),
            "kiln --help"};
  const std::string meant = command_meant(name);
  if (meant.empty() && kiln::find_on_path(name))
    return {kiln::Reason::usage, name + " is no command of Kiln's, but a program",
            with_arguments("kiln x", arguments)};
  return {kiln::Reason::usage, "unknown command " + name + meant, "kiln --help"};
}

const Command* find_command(std::string_view name) {
  const auto* const found = std::ranges::find(kCommands, name, &Command::name);
  return found == kCommands.end() ? nullptr : found;
}

// `kiln help list`, as git and others have it.
int help_of(std::span<char*> names) {
  const Command* const command = find_command(names[0]);
  if (std::string_view(names[0]) == "help") {
    print_help();
    return kExitDone;
  }
  if (command == nullptr) {
    kiln::print_error(unknown(names));
    return kExitUsage;
  }
  std::string run = "run";
  std::string help = "--help";
  std::vector<char*> asked{help.data()};  // nothing else: run and x would take it for a program's
  if (command->name == "explain" && names.size() > 1 && names[1] == run) asked = {run.data(), help.data()};
  return command->run(asked);
}

int run_named(std::span<char*> arguments) {
  if (arguments.empty()) {
    print_help();
    return kExitUsage;
  }
  const std::string_view name = arguments[0];
  if (const Command* const command = find_command(name)) return command->run(arguments.subspan(1));
  if (name == "help" && arguments.size() > 1) return help_of(arguments.subspan(1));
  if (name == "--help" || name == "-h" || name == "help") {
    print_help();
    return kExitDone;
  }
  if (name == "--version" || name == "-V") {
    std::printf("kiln %s\n", kiln::version().data());
    return kExitDone;
  }
  kiln::print_error(unknown(arguments));
  return kExitUsage;
}

// What a program prints is its own affair, and so is what becomes of it.
int dispatch(std::span<char*> arguments) {
  if (!arguments.empty() && std::string_view(arguments[0]) == "run") return run_named(arguments);
  kiln::outlive_closed_pipes();
  const int code = run_named(arguments);
  const auto written = kiln::finish_output(with_arguments("kiln", arguments));
  if (written) return code;
  kiln::print_error(written.error());
  return kiln::kExitUnable;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 0) return kExitUsage;
  kiln::note_own_title({argv, static_cast<std::size_t>(argc)});
  const char* slash = std::strrchr(argv[0], '/');
  const std::string name = slash != nullptr ? slash + 1 : argv[0];
  const std::span<char*> arguments(argv + 1, static_cast<std::size_t>(argc - 1));
  return kiln::is_python_name(name) ? be_python(name, arguments) : dispatch(arguments);
}
