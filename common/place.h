// Which directories Kiln keeps its things in where no variable of its own names another, and which it could
// take instead: an error about such a directory comes with the command that has another one taken.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kiln {

std::string default_runtime_dir();
// Nothing: no home is known.
std::optional<std::string> default_cache_dir();

// Can DIRECTORY, which need not be there yet, be Kiln's: one's own, of nobody else's writing, on a file
// system of this machine, with ROOM bytes left? Only looks.
bool can_be_used(const std::string& directory, std::uint64_t room = 0);

// The command by which PATH, a file of Kiln's own that could not be opened for FAILURE, an errno(3), can be:
// VARIABLE leads to its directory.
std::string make_way_for(const std::string& path, int failure, const std::string& variable);

// The shell command by which VARIABLE, KILN_RUNTIME_DIR or KILN_CACHE_DIR, leads to a directory that can be
// used, with ROOM bytes left: the default, if it leads elsewhere now.
std::string use_another(const std::string& variable, std::uint64_t room = 0);

}  // namespace kiln
