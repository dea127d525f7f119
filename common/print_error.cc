#include "common/print_error.h"

#include <cstdio>
#include <string>

namespace kiln {

namespace {

// Names of files are in it, which must not steer the terminal. Lines stay.
std::string harmless(const std::string& text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    shown += (byte < 0x20 && c != '\n') || byte == 0x7f ? escaped : std::string(1, c);
  }
  return shown;
}

}  // namespace

void print_error(const Error& error) {
  std::fprintf(stderr, "error: %s\n", harmless(error.message).c_str());
  if (!error.hint.empty()) std::fprintf(stderr, "\nhint: %s\n", harmless(error.hint).c_str());
}

}  // namespace kiln
