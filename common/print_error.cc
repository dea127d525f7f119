#include "common/print_error.h"

#include <unistd.h>

#include <cstdio>

#include "common/printable.h"
#include "common/screen.h"

namespace kiln {
namespace {

std::string text_of(const char* label, const Error& told) {
  std::string text = label + printable(told.message, true) + "\n";
  if (!told.hint.empty()) text += "\nhint: " + printable(told.hint, true) + "\n";
  return wrapped(text, terminal_columns(STDERR_FILENO), Indented::others, LongWords::whole);
}

void print(const char* label, const Error& told) {
  const std::string text = text_of(label, told);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

void print_error(const Error& error) {
  print("error: ", error);
}

void print_warning(const Error& warning) {
  print("warning: ", warning);
}

void print_note(const std::string& note) {
  print("note: ", {Reason::system, note, {}});
}

std::string warning_text(const Error& warning) {
  return text_of("warning: ", warning);
}

}  // namespace kiln
