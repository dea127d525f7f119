// `kiln shell-init`: what a shell's start-up file evaluates, so that a new terminal finds images ready.
#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>

#include "client/command.h"
#include "common/arguments.h"

namespace kiln {
namespace {

// An image belongs to one session, so the first run in a terminal finds none. Each line is for interactive
// shells alone, says nothing, and leaves no job in the shell's table. The process must stay a child of the
// shell: one whose parents have left the session would be executed (client/context.h).
struct Shell {
  std::string_view name;
  std::string_view file;  // in which users have what is evaluated at the start
  std::string_view hook;
};
constexpr std::array kShells{
    Shell{"bash", "~/.bashrc",
          R"(case $- in *i*) { kiln warm --most-used --quiet & disown $!; } 2>/dev/null ;; esac)"},
    Shell{"zsh", "~/.zshrc",
          R"([[ -o interactive ]] && () { setopt localoptions nobgnice; kiln warm --most-used --quiet &! })"},
    Shell{"fish", "~/.config/fish/config.fish",
          "if status is-interactive\n    kiln warm --most-used --quiet &\n    disown\nend"},
};

std::string description() {
  std::string text =
      "Prints what has each new terminal start images, in the background, of the programs that are run most "
      "often, "
      "so that their first run there finds one. To be evaluated by the shell's own file:\n\n";
  for (const Shell& shell : kShells) {
    const std::string name(shell.name);
    const std::string line =
        name == "fish" ? "kiln shell-init fish | source" : "eval \"$(kiln shell-init " + name + ")\"";
    text += "  " + std::string(shell.file) + ":  " + line + "\n";
  }
  return text;
}

}  // namespace

int shell_init_command(std::span<char*> arguments) {
  CLI::App app(description(), "kiln shell-init");
  std::string name;
  take_words(app.add_option("SHELL", name, "bash, zsh or fish")->required()->type_name(""),
             {"bash", "zsh", "fish"});
  if (const auto code = parse_arguments(app, arguments)) return *code;
  for (const Shell& shell : kShells) {
    if (shell.name == name) std::printf("%s\n", std::string(shell.hook).c_str());
  }
  return kExitDone;
}

}  // namespace kiln
