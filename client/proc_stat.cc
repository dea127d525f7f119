#include "client/proc_stat.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/unique_fd.h"

namespace kiln {

std::optional<std::int64_t> proc_stat_field(pid_t pid, int number) {
  const UniqueFd fd{::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC)};
  std::array<char, 1024> text{};
  if (!fd || ::read(fd.get(), text.data(), text.size() - 1) <= 0) return std::nullopt;
  const char* at = std::strrchr(text.data(), ')');  // the end of field 2
  for (int field = 2; at != nullptr && field < number; ++field) at = std::strchr(at + 1, ' ');
  if (at == nullptr) return std::nullopt;
  return std::strtoll(at + 1, nullptr, 10);
}

}  // namespace kiln
