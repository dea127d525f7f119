#include "common/shell_word.h"

#include <sys/stat.h>

namespace kiln {

std::string shell_argument(const std::string& argument) {
  std::string word;
  for (const char c : argument) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  const bool plain =
      !word.empty() &&
      word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") ==
          std::string::npos;
  return plain ? word : "'" + word + "'";
}

std::string shell_word(const std::string& path) {
  return shell_argument(path.starts_with('-') ? "./" + path : path);
}

std::string move_aside(const std::string& path) {
  std::string aside = path + ".aside";
  struct stat status {};
  for (int number = 2; ::lstat(aside.c_str(), &status) == 0; ++number)
    aside = path + ".aside" + std::to_string(number);
  return "mv " + shell_word(path) + " " + shell_word(aside);
}

}  // namespace kiln
