#include "common/arguments.h"

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/exit_code.h"
#include "common/print_error.h"

namespace kiln {

std::optional<int> parse_arguments(CLI::App& app, std::span<char*> arguments) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // CLI11 takes them from the back
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& problem) {
    print_error({Reason::usage, problem.what(), app.get_name() + " --help"});
    return kExitUsage;
  }
  return std::nullopt;
}

}  // namespace kiln
