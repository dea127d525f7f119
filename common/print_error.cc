#include "common/print_error.h"

#include <cstdio>

#include "common/printable.h"

namespace kiln {

void print_error(const Error& error) {
  std::fprintf(stderr, "error: %s\n", printable(error.message, true).c_str());
  if (!error.hint.empty()) std::fprintf(stderr, "\nhint: %s\n", printable(error.hint, true).c_str());
}

}  // namespace kiln
