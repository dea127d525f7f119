#include "client/decision_log.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/variables.h"

namespace kiln {

bool logs_decisions() {
  return is_on("KILN_LOG") && ::fcntl(STDERR_FILENO, F_GETFD) >= 0;
}

void log_decision(const char* how, Reason reason, const std::string& detail) {
  const std::string_view name = word(reason);
  const std::string_view text = detail.empty() ? wording(reason) : std::string_view(detail);
  std::string line =
      std::string("kiln: ") + how + " reason=" + std::string(name) + " (" + std::string(text) + ")\n";
  for (char& byte : line) {
    if (byte == '\n' && &byte != &line.back()) byte = ' ';
  }
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace kiln
