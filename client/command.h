// The commands of the command line: one function a command, one file a function. Each gets the arguments
// after the command's name and returns the exit code (DESIGN: 0 done, 1 something the user must fix, 2 wrong
// usage, 3 Kiln itself could not).
#pragma once

#include <span>
#include <string>

#include "common/result.h"

namespace kiln {

constexpr int kExitDone = 0;
constexpr int kExitFix = 1;
constexpr int kExitUsage = 2;
constexpr int kExitUnable = 3;

int run_command(std::span<char*> arguments);
int precompile_command(std::span<char*> arguments);
int status_command(std::span<char*> arguments);
int daemon_command(std::span<char*> arguments);

// Prints "error: ..." and, if there is one, a blank line and "hint: ..." on standard error.
void print_error(const Error& error);

}  // namespace kiln
