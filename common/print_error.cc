#include "common/print_error.h"

#include <unistd.h>

#include <cstdio>

#include "common/printable.h"
#include "common/screen.h"

namespace kiln {
namespace {

void print(const char* label, const Error& told) {
  std::string text = label + printable(told.message, true) + "\n";
  if (!told.hint.empty()) text += "\nhint: " + printable(told.hint, true) + "\n";
  text = wrapped(text, terminal_columns(STDERR_FILENO), Indented::others, LongWords::whole);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

void print_error(const Error& error) {
  print("error: ", error);
}

void print_warning(const Error& warning) {
  print("warning: ", warning);
}

}  // namespace kiln
