#include "client/interrupt_note.h"

#include <unistd.h>

#include <string>

#include "common/print_error.h"
#include "common/screen.h"

namespace kiln {
namespace {

std::string told;

// By write(2) alone, as signal-safety(7) has it. What SIGINT does else is done when this returns.
void tell(int signal) {
  (void)!::write(STDERR_FILENO, told.data(), told.size());
  ::raise(signal);
}

}  // namespace

InterruptNote::InterruptNote(const Error& note) {
  ::sigaction(SIGINT, nullptr, &former_);
  if (former_.sa_handler == SIG_IGN) return;
  const bool is_terminal = terminal_columns(STDERR_FILENO) != 0;  // which has shown ^C, perhaps behind a bar
  told = (is_terminal ? "\n" : "") + warning_text(note);
  struct sigaction action {};
  action.sa_handler = tell;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
}

InterruptNote::~InterruptNote() {
  ::sigaction(SIGINT, &former_, nullptr);
}

}  // namespace kiln
