#include "daemon/image/title.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "common/unique_fd.h"

namespace kiln::image {
namespace {

// Fields of /proc/PID/stat, counted behind the name (proc(5) counts from 1, the name being 2).
constexpr std::size_t kStartCode = 23;
constexpr std::size_t kEndCode = 24;
constexpr std::size_t kStartStack = 25;
constexpr std::size_t kStartData = 42;
constexpr std::size_t kEndData = 43;
constexpr std::size_t kStartBreak = 44;
constexpr std::size_t kFields = 50;

prctl_mm_map layout{};  // no start_code: it could not be read

using Name = std::array<char, 16>;  // as PR_GET_NAME fills it in
Name first_name{};
bool was_named = false;  // by start-up code

Name own_name() {
  Name name{};
  ::prctl(PR_GET_NAME, name.data());
  return name;
}

std::array<std::uint64_t, kFields> stat_fields() {
  std::array<std::uint64_t, kFields> fields{};
  std::array<char, 2048> text{};
  const UniqueFd fd{::open("/proc/self/stat", O_RDONLY | O_CLOEXEC)};
  if (!fd || ::read(fd.get(), text.data(), text.size() - 1) <= 0) return fields;
  const char* at = std::strrchr(text.data(), ')');
  for (std::size_t i = 0; at != nullptr && i < kFields; ++i) {
    at = std::strchr(at + 1, ' ');
    if (at != nullptr) fields[i] = std::strtoull(at, nullptr, 10);
  }
  return fields;
}

std::size_t size_of(const std::vector<std::string>& strings) {
  std::size_t size = 0;
  for (const std::string& string : strings) size += string.size() + 1;
  return size;
}

char* copy(const std::vector<std::string>& strings, char* to, std::vector<char*>& places) {
  for (const std::string& string : strings) {
    places.push_back(to);
    std::memcpy(to, string.c_str(), string.size() + 1);
    to += string.size() + 1;
  }
  return to;
}

__u64 address(const char* place) {
  return reinterpret_cast<__u64>(place);
}

}  // namespace

void note_name() {
  first_name = own_name();
}

void note_memory_layout() {
  was_named = own_name() != first_name;
  // Who looks for an interpreter by its name shall find none that runs nothing.
  if (!was_named) ::prctl(PR_SET_NAME, "kiln-image");
  const auto fields = stat_fields();
  layout.start_code = fields[kStartCode];
  layout.end_code = fields[kEndCode];
  layout.start_stack = fields[kStartStack];
  layout.start_data = fields[kStartData];
  layout.end_data = fields[kEndData];
  layout.start_brk = fields[kStartBreak];
  layout.exe_fd = ~0U;  // stays
}

std::vector<char*> show_as(const std::string& name, const std::vector<std::string>& command_line,
                           const std::vector<std::string>& environment) {
  if (!was_named) ::prctl(PR_SET_NAME, name.c_str());
  std::vector<char*> arguments;
  std::vector<char*> variables;
  auto* begin = static_cast<char*>(::malloc(size_of(command_line) + size_of(environment) + 1));
  char* middle = copy(command_line, begin, arguments);
  char* end = copy(environment, middle, variables);
  if (layout.start_code == 0) return variables;
  prctl_mm_map map = layout;
  map.brk = address(static_cast<char*>(::sbrk(0)));  // libc knows it without asking
  map.arg_start = address(begin);
  map.arg_end = map.env_start = address(middle);
  map.env_end = address(end);
  (void)::prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
  return variables;
}

}  // namespace kiln::image
