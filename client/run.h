// `kiln run`: have a warm image run the program, or become the interpreter.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/interpreter_choice.h"

namespace kiln {

// ARGUMENTS: Python's own command line after the interpreter's name. Does not return: the process exits as
// the program did, or is the interpreter from then on.
[[noreturn]] void run_program(const ChosenInterpreter& interpreter, std::span<char* const> arguments);

}  // namespace kiln
