#include "common/print_error.h"

#include <cstdio>

namespace kiln {

void print_error(const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.message.c_str());
  if (!error.hint.empty()) std::fprintf(stderr, "\nhint: %s\n", error.hint.c_str());
}

}  // namespace kiln
