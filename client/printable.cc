#include "client/printable.h"

#include <cstdio>

namespace kiln {

std::string printable(const std::string& text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    shown += byte < 0x20 || byte == 0x7f ? escaped : std::string(1, c);
  }
  return shown;
}

std::string shell_word(const std::string& path) {
  std::string word = path.starts_with('-') ? "./" : "";
  for (const char c : path) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  const bool plain =
      word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") ==
      std::string::npos;
  return plain ? word : "'" + word + "'";
}

}  // namespace kiln
