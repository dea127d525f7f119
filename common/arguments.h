// Reads a command line as CLI11 has it described, and answers --help and wrong usage in the one form that all
// commands have.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace kiln {

// ARGUMENTS: those after the command's name. Nothing: the command goes on. Else it is done, with this exit
// code.
std::optional<int> parse_arguments(CLI::App& app, std::span<char*> arguments);

// For CLI::Option::check(): what is wrong with TEXT as a count of LEAST or more; empty: nothing. CLI11's own
// validators write out the largest number that there is.
std::string check_count(const std::string& text, std::uint64_t least);

// OPTION takes one of WORDS, or a number. CLI11's own validators know no "did you mean".
void take_words(CLI::Option* option, std::initializer_list<std::string_view> words);
void take_number(CLI::Option* option, std::uint64_t least, std::uint64_t most);

}  // namespace kiln
