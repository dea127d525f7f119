#include "common/shell_word.h"

namespace kiln {

std::string shell_word(const std::string& path) {
  std::string word = path.starts_with('-') ? "./" : "";
  for (const char c : path) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  const bool plain =
      word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") ==
      std::string::npos;
  return plain ? word : "'" + word + "'";
}

}  // namespace kiln
