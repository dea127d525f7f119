// What the runtime itself remembers of how it was started: the configuration of its main interpreter
// (PyConfig), from which subinterpreters are made and a hint of 3.13's is derived, and the strings that
// Py_GetArgcArgv returns. In a child they are to be the program's instead of its image's.
//
// No call of Python's changes them alone. But the structures are public ones, and do not change within a
// version: where to find them is known, and whether that is so is seen by what they hold in an image, whose
// command line is known. Where anything is otherwise, nothing is touched.
//
// Rejected: _PyInterpreterState_SetConfig, which makes sys anew from the configuration, and so undoes site.
#pragma once

#include <string>
#include <vector>

#include "common/launch.h"

namespace kiln::image {

// Once, in the image, which was started on SCRIPT. WITH_SITE: its runs were not started with -S, as it was.
void find_start_config(const std::string& script, bool with_site);

// ARGUMENTS: sys.argv. COMMAND_LINE: sys.orig_argv.
void change_start_arguments(const std::vector<std::string>& arguments,
                            const std::vector<std::string>& command_line);

// What is run: the file's path, the module's name or the command's text.
void change_start_target(TargetKind kind, const std::string& target);

// What Python itself puts first on sys.path.
void change_start_path(const std::string& path);

}  // namespace kiln::image
