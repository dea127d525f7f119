// A program that is written in Python, by its name, as a shell would find and start it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/interpreter_choice.h"
#include "common/result.h"

namespace kiln {

struct NamedProgram {
  std::string path;                       // by which a shell would start it: relative if PATH is
  Result<ChosenInterpreter> interpreter;  // that of its first line. Reason::not_python: it has none of Python
  std::vector<std::string> first_arguments;  // between the interpreter and the path
  bool by_shell = false;                     // a shell starts the interpreter (pip's header)

  // What follows the interpreter in the command line that the kernel makes of it. It points into both.
  std::vector<char*> command_line(std::span<char*> arguments) const;
};

// What it is found for, for the hints: the words of Kiln's command before NAME, and what is behind it.
struct NamedUse {
  std::string by_name = "x";    // takes a name: "explain run x"
  std::string by_path = "run";  // takes a script: "explain run"
  std::span<char* const> arguments = {};
};

// NAME is looked up on PATH, unless there is a slash in it. Fails with Reason::not_found where there is
// none.
Result<NamedProgram> find_named_program(const std::string& name, const NamedUse& use);

}  // namespace kiln
