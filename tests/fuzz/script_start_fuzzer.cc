// The first lines of programs on PATH are whoever's who wrote them.
#include <cstddef>
#include <cstdint>

#include "common/script_start.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view head(reinterpret_cast<const char*>(data), size);
  const auto start = kiln::script_start(head);
  if (!start) return 0;
  kiln::require(!start->program.empty() && start->program.find('\n') == std::string::npos);
  std::size_t length = start->program.size();
  for (const auto& argument : start->arguments) {
    kiln::require(!argument.empty());
    length += argument.size();
  }
  kiln::require(length < head.size());
  return 0;
}
