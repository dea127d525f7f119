// The parts of `kiln precompile` that can be tested without a daemon.
#pragma once

#include <istream>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/result.h"
#include "proto/kiln.pb.h"

namespace kiln {

struct PrecompileArguments {
  std::vector<std::string> pythons;  // empty: the usual one
  unsigned jobs = 0;                 // 0: as many as there are CPUs
  std::vector<int> levels;           // empty: the usual one
  std::optional<std::string> invalidation_mode;
  bool legacy = false;
  std::vector<std::string> exclude;
  bool force = false;
  bool check = false;
  bool quiet = false;
  bool json = false;
  std::vector<std::string> paths;  // "-" stands for a list on standard input
};

// The arguments, or the exit code when all is said: wrong usage, or help was asked for.
std::variant<PrecompileArguments, int> parse_precompile_arguments(std::span<char*> arguments);

// The mode that is asked for: by the option, else, as in py_compile, checked-hash where SOURCE_DATE_EPOCH is
// set and not empty, else none.
proto::PrecompileRequest::Invalidation wanted_invalidation(const std::optional<std::string>& option,
                                                           const char* source_date_epoch);

// The level at which python runs with PYTHONOPTIMIZE, which may be null (python(1), "Environment variables").
int usual_level(const char* python_optimize);

// PATHS with the lines of LIST, of which empty ones are left out, in the place of the first "-".
std::vector<std::string> with_listed_paths(const std::vector<std::string>& paths, std::istream& list);

int exit_code(const proto::PrecompileEvent::Summary& summary);

}  // namespace kiln
