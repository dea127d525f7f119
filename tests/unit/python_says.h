// What a real interpreter answers, to compare ours with.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/unit/pythons.h"
#include "tests/unit/scratch.h"

namespace kiln {

inline std::string shell_quoted(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// Runs the Python text SCRIPT with ARGUMENTS, OPTIONS being the interpreter's, and returns what it writes to
// standard output. The environment is empty but for the hash seed and a UTF-8 locale.
inline std::string python_says(const InterpreterInfo& python, const std::string& script,
                               const std::vector<std::string>& arguments = {},
                               const std::string& options = "") {
  const Scratch scratch;
  std::string command = "env -i PYTHONHASHSEED=0 LC_ALL=C.UTF-8 " + shell_quoted(python.executable) +
                        " -S -B " + options + " " + shell_quoted(scratch.write("script.py", script));
  for (const auto& argument : arguments) command += " " + shell_quoted(argument);
  FILE* pipe = ::popen(command.c_str(), "r");
  std::string said;
  std::array<char, 65536> buffer;
  for (std::size_t size = 0; (size = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    said.append(buffer.data(), size);
  }
  EXPECT_EQ(::pclose(pipe), 0) << python.path;
  return said;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace kiln
