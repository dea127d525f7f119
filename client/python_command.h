// Python's own command line, read as the interpreter reads it (Python/getopt.c, Python/initconfig.c): which
// options come before the program, what the program is, and what its arguments are.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/launch.h"
#include "common/reason.h"

namespace kiln {

struct PythonCommand {
  std::vector<std::string> options;  // normalised, one option an entry or two: {"-B", "-W", "error"}
  TargetKind kind{};
  std::string target;
  std::vector<std::string> arguments;  // after the target
  std::optional<Reason> unserved;      // why only the real interpreter can take this command line
  std::string foreign_option;          // "--jsn": the long option for that, if it is none of Python's
};

// ARGUMENTS: what follows the interpreter's name.
PythonCommand parse_python_command(std::span<char* const> arguments);

}  // namespace kiln
