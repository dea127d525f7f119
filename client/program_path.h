// Where programs lie: a name on PATH, with links to Kiln itself passed over.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

// A name by which a link to Kiln stands for an interpreter: python, python3, python3.N.
bool is_python_name(std::string_view name);

// True if PATH is this very program, or a link to it.
bool is_own_program(const std::string& path);

// True if PATH is a file that may be executed, and is not this very program.
bool is_other_program(const std::string& path);

struct ProgramOnPath {
  std::string path;   // absolute
  bool first = true;  // nothing was passed over on the way
};

std::optional<ProgramOnPath> find_on_path(const std::string& name);

// NAME in each directory of PATH, whether it is there or not. Not all are absolute.
std::vector<std::string> places_on_path(const std::string& name);

// PATH by the current directory.
std::string made_absolute(const std::string& path);

}  // namespace kiln
