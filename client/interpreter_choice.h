// Which interpreter a command means.
#pragma once

#include <optional>
#include <string>

#include "common/result.h"

namespace kiln {

struct ChosenInterpreter {
  std::string path;   // what to exec; absolute, symlinks kept, for a venv is found by them
  std::string argv0;  // argv[0] to start it with: Python derives sys.executable from it
};

// In order: REQUESTED (a path, or a name to look up on PATH), $KILN_PYTHON, $VIRTUAL_ENV/bin/python, python3
// on PATH. Links to Kiln itself are passed over on PATH. Fails with Reason::interpreter_missing, and with a
// hint that names COMMAND.
Result<ChosenInterpreter> choose_interpreter(const std::optional<std::string>& requested,
                                             const std::string& command);

// The interpreter that a link named NAME to Kiln stands for: the next of that name on PATH.
Result<ChosenInterpreter> choose_behind_link(const std::string& name);

// True if PATH starts with "#!": a version manager's shim, whose doings Kiln cannot know.
bool is_script(const std::string& path);

}  // namespace kiln
