// Finds an interpreter by its version: "3.12" or "3.12.1".
//
// Places are searched in this order, and the first that has one decides; within a place the newest patch
// release does:
//
//   PATH                                                  python3.12; version managers' shims are passed over
//   $PYENV_ROOT/versions, else ~/.pyenv/versions          3.12.1/bin/python3.12
//   $UV_PYTHON_INSTALL_DIR, else $XDG_DATA_HOME/uv/python, else ~/.local/share/uv/python
//                                                         cpython-3.12.1-linux-x86_64-gnu/bin/python3.12
//   /usr/local/bin, /usr/bin                              python3.12
//
// Only releases of CPython, and no free-threaded builds: their bytecode may be another.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/magic.h"
#include "common/result.h"

namespace kiln {

struct WantedVersion {
  PythonVersion version;
  std::optional<int> patch = std::nullopt;  // nothing: any

  bool operator==(const WantedVersion&) const = default;
};

// Nothing if TEXT is not of the form 3.12 or 3.12.1.
std::optional<WantedVersion> parse_version(std::string_view text);

std::string version_text(const WantedVersion& wanted);

// The absolute path. Fails with Reason::interpreter_missing, naming the version, and without a hint where no
// manager of interpreters could install it.
Result<std::string> find_interpreter(const WantedVersion& wanted);

// What runs when PATH is started: of a version manager's script, which is asked, the interpreter that it
// chooses here; else, or where it does not say, PATH itself.
std::string interpreter_behind(const std::string& path);

}  // namespace kiln
