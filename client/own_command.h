// The command line that this process was started by, for hints that have it given again.
#pragma once

#include <optional>
#include <string>

namespace kiln {

std::string own_command();

// With --python PYTHON in place of each --python INSTEAD_OF, or of every --python. Nothing: there is none.
std::optional<std::string> command_with_python(const std::string& python,
                                               const std::optional<std::string>& instead_of = std::nullopt);

}  // namespace kiln
