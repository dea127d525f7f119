#include "common/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
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
  return did_you_mean(option, all);
}

// What nothing takes: of "--jobz=4" the name.
std::string unexpected(const CLI::App& app, const std::string& argument) {
  if (argument.empty()) return "unexpected argument ''";
  if (!argument.starts_with("-")) return "unexpected argument " + argument;
  const std::string option = argument.substr(0, argument.find('='));
  return "unknown option " + option + meant(app, option);
}

std::optional<std::string> unknown_option(const CLI::App& app) {
  const auto left = app.remaining();
  const auto found =
      std::ranges::find_if(left, [](const std::string& argument) { return argument.starts_with('-'); });
  return found != left.end() ? std::optional(*found) : std::nullopt;
}

// "Could not convert: --json = x": all but flags take what they are given, and have it checked.
std::string no_flag(const std::string& theirs) {
  const std::size_t begin = theirs.find("--");
  if (begin == std::string::npos) return theirs;
  return theirs.substr(begin, theirs.find_first_of(" =", begin) - begin) + " takes no value";
}

int fail(const CLI::App& app, const std::string& what) {
  print_error({Reason::usage, what, app.get_name() + " --help"});
  return kExitUsage;
}

// CLI11 says "--lines: 1 required N missing", and "--lines: At Most 1 required but received 2".
std::string mismatch(const std::string& theirs) {
  const std::string option = theirs.substr(0, theirs.find(':'));
  if (theirs.find("At Most") == std::string::npos) return option + " needs a value";
  const std::string times = theirs.substr(theirs.rfind(' ') + 1);
  return option + " is given " + (times == "2" ? "twice" : times + " times") + ", and takes one value";
}

std::string joined(std::span<const std::string_view> words, std::string_view between) {
  std::string text;
  for (const auto word : words) text.append(text.empty() ? "" : between).append(word);
  return text;
}

std::optional<std::uint64_t> number_of(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_whole = failed == std::errc{} && end == text.data() + text.size();
  return is_whole ? std::optional(number) : std::nullopt;
}

// Of a positional that nothing else takes: "PATH is empty".
std::string empty_argument(const CLI::App& app) {
  const auto options = app.get_options([](const CLI::Option* option) { return option->get_positional(); });
  return options.empty() ? unexpected(app, "") : options.front()->get_name() + " is empty";
}

// What CLI11 lets pass: a value for a flag, which it may take for the opposite, and what is empty, as a
// variable of a shell is that was never set. Empty: nothing.
std::string objection_to(const CLI::App& app, std::span<char* const> arguments) {
  bool may_be_option = true;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string argument = arguments[i];
    if (argument.empty()) return empty_argument(app);
    if (argument == "--") may_be_option = false;
    const std::string name = argument.substr(0, argument.find('='));
    const CLI::Option* const option =
        may_be_option && name.starts_with('-') ? app.get_option_no_throw(name) : nullptr;
    if (option == nullptr) continue;
    const bool has_value = name.size() < argument.size();
    const bool is_flag = option->get_items_expected_max() == 0;
    if (is_flag && has_value) return name + " takes no value";
    if (is_flag) continue;
    const bool is_empty =
        has_value ? argument.size() == name.size() + 1 : ++i < arguments.size() && arguments[i][0] == '\0';
    if (is_empty) return option->get_name() + " needs a value";
  }
  return {};
}

}  // namespace

std::optional<int> parse_arguments(CLI::App& app, std::span<char*> arguments) {
  if (const auto objection = objection_to(app, arguments); !objection.empty()) return fail(app, objection);
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
  } catch (const CLI::RequiredError& problem) {
    const auto option = unknown_option(app);  // in the place of what is required, perhaps
    return fail(app, option ? unexpected(app, *option) : problem.what());
  } catch (const CLI::ArgumentMismatch& problem) {
    return fail(app, mismatch(problem.what()));
  } catch (const CLI::ConversionError& problem) {
    return fail(app, no_flag(problem.what()));
  } catch (const CLI::ParseError& problem) {
    return fail(app, problem.what());
  }
  return std::nullopt;
}

std::string check_count(const std::string& text, std::uint64_t least) {
  const auto count = number_of(text);
  if (count && *count >= least) return {};
  return "not a count of " + std::to_string(least) + " or more: " + text.substr(0, kShownArgument);
}

void take_words(CLI::Option* option, std::initializer_list<std::string_view> words) {
  const std::vector<std::string_view> known(words);
  const auto check = [known](const std::string& text) -> std::string {
    if (std::ranges::find(known, text) != known.end()) return {};
    return text.substr(0, kShownArgument) + " is none of " + joined(known, ", ") + did_you_mean(text, known);
  };
  option->check(check, "{" + joined(known, ",") + "}");
}

void take_number(CLI::Option* option, std::uint64_t least, std::uint64_t most) {
  const std::string range = std::to_string(least) + " to " + std::to_string(most);
  const auto check = [=](const std::string& text) -> std::string {
    const auto number = number_of(text);
    if (number && *number >= least && *number <= most) return {};
    return "not a number from " + range + ": " + text.substr(0, kShownArgument);
  };
  option->check(check, range);
}

}  // namespace kiln
