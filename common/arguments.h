// Reads a command line as CLI11 has it described, and answers --help and wrong usage in the one form that all
// commands have.
#pragma once

#include <optional>
#include <span>

namespace CLI {
class App;
}

namespace kiln {

// ARGUMENTS: those after the command's name. Nothing: the command goes on. Else it is done, with this exit
// code.
std::optional<int> parse_arguments(CLI::App& app, std::span<char*> arguments);

}  // namespace kiln
