// Reads a command line as CLI11 has it described, and answers --help and wrong usage in the one form that all
// commands have.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace CLI {
class App;
}

namespace kiln {

// ARGUMENTS: those after the command's name. Nothing: the command goes on. Else it is done, with this exit
// code.
std::optional<int> parse_arguments(CLI::App& app, std::span<char*> arguments);

// For CLI::Option::check(): what is wrong with TEXT as a count of LEAST or more; empty: nothing. CLI11's own
// validators write out the largest number that there is.
std::string check_count(const std::string& text, std::uint64_t least);

}  // namespace kiln
