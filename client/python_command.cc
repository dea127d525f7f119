#include "client/python_command.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace kiln {
namespace {

// Options without a value that act at start-up alone: an image that was started with them serves them.
constexpr std::string_view kServedFlags = "bBEIOPqsSu";
// Options with a value. -c and -m end the options.
constexpr std::string_view kValueOptions = "cmWX";
// -X settings that act at start-up alone and are not about watching the program (importtime, tracemalloc,
// dev: what it warns of at the end comes in an order that depends on the collector's history).
constexpr std::array<std::string_view, 6> kServedSettings{
    "utf8",           "no_debug_ranges",       "int_max_str_digits",
    "pycache_prefix", "warn_default_encoding", "frozen_modules"};
constexpr std::string_view kCheckHashOption = "--check-hash-based-pycs";
constexpr std::array<std::string_view, 6> kLongOptions{kCheckHashOption, "--help",          "--help-all",
                                                       "--help-env",     "--help-xoptions", "--version"};

bool is_served_setting(std::string_view setting) {
  return std::ranges::find(kServedSettings, setting.substr(0, setting.find('='))) != kServedSettings.end();
}

// Reads options one by one; the first that settles the question ends it.
class Parser {
 public:
  explicit Parser(std::span<char* const> arguments) : arguments_(arguments) {}

  PythonCommand parse() {
    while (next_ < arguments_.size() && !settled_) {
      const std::string_view argument = arguments_[next_];
      if (argument.size() < 2 || argument[0] != '-') break;  // a script, or "-" for standard input
      ++next_;
      if (argument == "--") break;
      if (argument[1] == '-') {
        long_option(argument);
      } else {
        cluster(argument.substr(1));
      }
    }
    if (!settled_) script();
    command_.arguments.assign(arguments_.begin() + static_cast<std::ptrdiff_t>(next_), arguments_.end());
    return std::move(command_);
  }

 private:
  void leave_to_python(Reason reason) {
    command_.unserved = reason;
    settled_ = true;
  }

  void long_option(std::string_view option) {
    if (std::ranges::find(kLongOptions, option) == kLongOptions.end()) command_.foreign_option = option;
    if (option != kCheckHashOption || next_ == arguments_.size()) return leave_to_python(Reason::option);
    command_.options.emplace_back(option);
    command_.options.emplace_back(arguments_[next_++]);
  }

  // "-Bu" is -B -u; "-Wignore" is -W ignore; "-ccode" is -c code.
  void cluster(std::string_view letters) {
    while (!letters.empty() && !settled_) {
      const char letter = letters.front();
      letters.remove_prefix(1);
      if (kServedFlags.find(letter) != std::string_view::npos) {
        command_.options.push_back(std::string("-") + letter);
      } else if (kValueOptions.find(letter) != std::string_view::npos) {
        if (letters.empty() && next_ == arguments_.size()) return leave_to_python(Reason::usage);
        const std::string value(letters.empty() ? std::string_view(arguments_[next_++]) : letters);
        letters = {};
        value_option(letter, value);
      } else {
        leave_to_python(Reason::option);
      }
    }
  }

  void value_option(char letter, const std::string& value) {
    if (letter == 'c' || letter == 'm') {
      command_.kind = letter == 'c' ? TargetKind::command : TargetKind::module;
      if (letter == 'm' && value.empty()) return leave_to_python(Reason::usage);
      command_.target = value;
      settled_ = true;
    } else if (letter == 'X' && !is_served_setting(value)) {
      leave_to_python(Reason::option);
    } else {
      command_.options.push_back(std::string("-") + letter);
      command_.options.push_back(value);
    }
  }

  void script() {
    if (next_ == arguments_.size() || std::string_view(arguments_[next_]) == "-") {
      return leave_to_python(Reason::no_target);
    }
    command_.kind = TargetKind::file;
    command_.target = arguments_[next_++];
    if (command_.target.empty()) leave_to_python(Reason::usage);
  }

  std::span<char* const> arguments_;
  std::size_t next_ = 0;
  bool settled_ = false;
  PythonCommand command_;
};

}  // namespace

PythonCommand parse_python_command(std::span<char* const> arguments) {
  return Parser(arguments).parse();
}

}  // namespace kiln
