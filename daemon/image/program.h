// The program of a run: found, compiled and set up before "go", evaluated after, as Modules/main.c and
// Python/pythonrun.c do it, with no Python frame below it.
#pragma once

#include <string>

#include "common/launch.h"
#include "common/result.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {

class Program {
 public:
  // Sets sys.argv, sys.orig_argv, sys.path and __main__, and compiles a script. A program that does not
  // compile, or that warns while it compiles, is refused: its messages must be Python's own, and come once.
  static Result<Program> prepare(const Launch& launch);

  // Runs the program to its end and returns the exit code; how it ended is printed as Python prints it.
  // INTERRUPTED: KeyboardInterrupt ended it, so the process must die of SIGINT after finalization.
  struct Outcome {
    int exit_code = 0;
    bool interrupted = false;
  };
  Outcome run();

  // What is run (common/image_channel.h).
  const std::string& entry() const { return entry_; }

  // The script, if it was compiled now, and had better be kept (daemon/image/kept_script.h); else empty.
  const std::string& uncached_source() const { return uncached_source_; }

 private:
  Result<void> prepare_module(const Launch& launch);
  Result<void> prepare_file(const Launch& launch);
  Result<void> prepare_package(const std::string& path);
  Result<void> prepare_bytecode(const std::string& path, const std::string& bytes);
  Result<void> prepare_source(const std::string& path, const std::string& bytes);
  Result<void> prepare_command(const Launch& launch);
  PythonRef evaluate();

  PythonRef code_;      // of a script or command
  std::string module_;  // for runpy
  std::string entry_;
  std::string uncached_source_;
  bool is_file_ = false;
  bool sets_argv0_ = false;
};

}  // namespace kiln::image
