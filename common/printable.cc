#include "common/printable.h"

#include <cstdio>

namespace kiln {

std::string printable(const std::string& text, bool keeps_lines) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool steers = (byte < 0x20 && !(keeps_lines && c == '\n')) || byte == 0x7f;
    if (!steers) {
      shown += c;
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    shown += escaped;
  }
  return shown;
}

}  // namespace kiln
