// Of the files that a run's imports opened, bytecode and sources, the sources: what the program depends on.
// The first run opens a source, the next one its bytecode; for both this is the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

// Absolute, sorted, each once. Left out is what does not say where its source is: relative paths, and
// bytecode below a PYTHONPYCACHEPREFIX (NAME.TAG.pyc outside of a __pycache__). A module that is bytecode
// alone, NAME.pyc, stands for the NAME.py that it once had.
std::vector<std::string> imported_sources(const std::vector<std::string>& opened);

// Equal for equal SOURCES, in processes of one build; almost never equal for others.
std::uint64_t hash_of_sources(const std::vector<std::string>& sources);

}  // namespace kiln
