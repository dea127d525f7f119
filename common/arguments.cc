#include "common/arguments.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/exit_code.h"
#include "common/print_error.h"
#include "common/screen.h"
#include "common/suggestion.h"

namespace kiln {

namespace {

constexpr std::size_t kShownArgument = 40;  // bytes

std::string meant(const CLI::App& app, const std::string& option) {
  std::vector<std::string> names;
  for (const CLI::Option* known : app.get_options()) {
    for (const auto& name : known->get_lnames()) names.push_back("--" + name);
  }
  const std::vector<std::string_view> all(names.begin(), names.end());
  const auto near = suggestion_for(option, all);
  return near ? "; did you mean " + std::string(*near) + "?" : "";
}

// What nothing takes: of "--jobz=4" the name.
std::string unexpected(const CLI::App& app, const std::string& argument) {
  if (!argument.starts_with("-")) return "unexpected argument " + argument;
  const std::string option = argument.substr(0, argument.find('='));
  return "unknown option " + option + meant(app, option);
}

int fail(const CLI::App& app, const std::string& what) {
  print_error({Reason::usage, what, app.get_name() + " --help"});
  return kExitUsage;
}

}  // namespace

std::optional<int> parse_arguments(CLI::App& app, std::span<char*> arguments) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // CLI11 takes them from the back
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    show(app.help());
    return kExitDone;
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ExtrasError& problem) {
    const auto left = app.remaining();
    return fail(app, left.empty() ? problem.what() : unexpected(app, left.front()));
  } catch (const CLI::ParseError& problem) {
    return fail(app, problem.what());
  }
  return std::nullopt;
}

std::string check_count(const std::string& text, std::uint64_t least) {
  std::uint64_t count = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool is_whole = failed == std::errc{} && end == text.data() + text.size();
  if (is_whole && count >= least) return {};
  return "not a count of " + std::to_string(least) + " or more: " + text.substr(0, kShownArgument);
}

}  // namespace kiln
