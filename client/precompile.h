// The parts of `kiln precompile` that can be tested without a daemon.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "proto/kiln.pb.h"

namespace kiln {

struct PrecompileArguments {
  std::optional<std::string> python;
  unsigned jobs = 0;  // 0: as many as there are CPUs
  int optimize = 0;
  bool force = false;
  bool quiet = false;
  std::vector<std::string> paths;
};

// The arguments, or the exit code when all is said: wrong usage, or help was asked for.
std::variant<PrecompileArguments, int> parse_precompile_arguments(std::span<char*> arguments);

// "src/a.py:3:7: SyntaxError: invalid syntax", without a line where there is none.
std::string error_line(const proto::PrecompileEvent::Error& error);

// "compiled 12, fresh 30, errors 1 in 0.42 s"
std::string summary_line(const proto::PrecompileEvent::Summary& summary);

int exit_code(const proto::PrecompileEvent::Summary& summary);

}  // namespace kiln
