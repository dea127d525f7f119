// The commands of the command line: one function a command, one file a function. Each gets the arguments
// after the command's name and returns the exit code.
#pragma once

#include <span>

#include "common/exit_code.h"

namespace kiln {

int run_command(std::span<char*> arguments);
int x_command(std::span<char*> arguments);
int warm_command(std::span<char*> arguments);
int precompile_command(std::span<char*> arguments);
int list_command(std::span<char*> arguments);
int explain_command(std::span<char*> arguments);
int clean_command(std::span<char*> arguments);
int gc_command(std::span<char*> arguments);
int stats_command(std::span<char*> arguments);
int inspect_command(std::span<char*> arguments);
int status_command(std::span<char*> arguments);
int doctor_command(std::span<char*> arguments);
int config_command(std::span<char*> arguments);
int shell_init_command(std::span<char*> arguments);
int watch_command(std::span<char*> arguments);
int unwatch_command(std::span<char*> arguments);
int daemon_command(std::span<char*> arguments);

}  // namespace kiln
