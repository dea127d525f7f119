#include "client/own_command.h"

#include <fstream>
#include <string_view>
#include <vector>

#include "common/shell_word.h"

namespace kiln {
namespace {

constexpr std::string_view kPython = "--python";
constexpr std::string_view kPythonIs = "--python=";

std::vector<std::string> own_words() {
  std::vector<std::string> words;
  std::ifstream line("/proc/self/cmdline");
  for (std::string word; std::getline(line, word, '\0');) words.push_back(word);
  return words;
}

// What follows is the program's, or no option.
bool ends_options(std::string_view word) {
  return word == "--" || word == "-c" || word == "-m";
}

// The value of the option that begins with WORDS[AT], and whether that is a word of its own.
struct Named {
  std::string value;
  bool is_next = false;
};

std::optional<Named> named_at(const std::vector<std::string>& words, std::size_t at) {
  if (words[at].starts_with(kPythonIs)) return Named{words[at].substr(kPythonIs.size()), false};
  if (words[at] == kPython && at + 1 < words.size()) return Named{words[at + 1], true};
  return std::nullopt;
}

}  // namespace

std::string own_command() {
  std::string command = "kiln";
  const auto words = own_words();
  for (std::size_t at = 1; at < words.size(); ++at) command += ' ' + shell_argument(words[at]);
  return command;
}

std::optional<std::string> command_with_python(const std::string& python,
                                               const std::optional<std::string>& instead_of) {
  const auto words = own_words();
  std::string command = "kiln";
  bool is_named = false;
  bool in_options = true;
  for (std::size_t at = 1; at < words.size(); ++at) {
    if (ends_options(words[at])) in_options = false;
    const auto named = in_options ? named_at(words, at) : std::nullopt;
    if (!named || (instead_of && named->value != *instead_of)) {
      command += ' ' + shell_argument(words[at]);
      continue;
    }
    if (!is_named) command.append(" ").append(kPython).append(" ").append(shell_argument(python));
    is_named = true;
    if (named->is_next) ++at;
  }
  return is_named ? std::optional(command) : std::nullopt;
}

}  // namespace kiln
