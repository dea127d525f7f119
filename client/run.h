// `kiln run`: have a warm image run the program, or become the interpreter.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/interpreter_choice.h"
#include "common/result.h"
#include "proto/kiln.pb.h"

namespace kiln {

// ARGUMENTS: Python's own command line after the interpreter's name. Does not return: the process exits as
// the program did, or is the interpreter from then on. TIMED: tells at last where the time went.
[[noreturn]] void run_program(const ChosenInterpreter& interpreter, std::span<char* const> arguments,
                              bool timed = false);

// What the daemon would be asked for this run. Fails with the reason for which it would be executed before
// that.
Result<proto::RunRequest> describe_run(const ChosenInterpreter& interpreter,
                                       std::span<char* const> arguments);

// Has who would serve the run prepare it, up to the program's first instruction, and lets go of it there.
// Fails with the reason for which it would be executed, that the program does not compile among them.
Result<void> try_run(const ChosenInterpreter& interpreter, std::span<char* const> arguments);

// Takes --python PY off the front of ARGUMENTS. Fails with Reason::usage. COMMAND: for the hint, "run".
Result<std::optional<std::string>> take_python_option(std::span<char*>& arguments,
                                                      const std::string& command);

}  // namespace kiln
