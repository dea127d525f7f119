// How every failure that ends a command looks: "error: what", and, if there is one, a blank line and "hint:
// the exact command", on standard error; as wide as its terminal, but whole, for it is to be copied, too.
#pragma once

#include <string>

#include "common/result.h"

namespace kiln {

void print_error(const Error& error);

// "warning: what": of what does not keep the command from its work.
void print_warning(const Error& warning);

// "note: what", in one line: of what is to be known of a result.
void print_note(const std::string& note);

// What print_warning() prints.
std::string warning_text(const Error& warning);

}  // namespace kiln
