// Which interpreter a command means.
#pragma once

#include <optional>
#include <string>

#include "common/result.h"

namespace kiln {

struct ChosenInterpreter {
  std::string path;   // what to exec; absolute, symlinks kept, for a venv is found by them
  std::string argv0;  // argv[0] to start it with: Python derives sys.executable from it
  // A script whose first line has the kernel start it. Empty: none.
  std::string script = {};

  // What is executed: as it was spelled, where that has a slash, for the program can ask for it (AT_EXECFN of
  // getauxval(3)). The process is called by the last part of it.
  const std::string& executed() const;
};

// In order: REQUESTED, $KILN_PYTHON, $VIRTUAL_ENV/bin/python, python3 on PATH. What is requested, also by the
// variable, is a path, a version such as 3.12 (client/interpreter_search.h), a name to look up on PATH, or
// the directory of a virtual environment. Links to Kiln itself are passed over on PATH. Fails with
// Reason::interpreter_missing, and with a hint: how to install the version, or use_another_interpreter().
Result<ChosenInterpreter> choose_interpreter(const std::optional<std::string>& requested = std::nullopt);

// How the user has named the interpreter: as REQUESTED, or by $KILN_PYTHON. Nothing: not at all.
std::optional<std::string> named_interpreter(const std::optional<std::string>& requested = std::nullopt);

// The interpreter that a link named NAME to Kiln stands for: the next of that name on PATH.
Result<ChosenInterpreter> choose_behind_link(const std::string& name);

// The command by which another interpreter is taken than PRESENT, which does not do: the one that was given,
// with another --python in place of it, or of each if PRESENT is empty.
std::string use_another_interpreter(const std::string& present = {});

// True if PATH starts with "#!": a version manager's shim, whose doings Kiln cannot know.
bool is_script(const std::string& path);

// What there is to say of VIRTUAL_ENV, if it names an environment without an interpreter: a shell would go on
// to the next python on PATH, without a word.
std::optional<Error> broken_environment();

}  // namespace kiln
