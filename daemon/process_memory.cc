#include "daemon/process_memory.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

namespace kiln {

std::uint64_t proportional_set_bytes(std::uint64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Pss:")) return std::strtoull(line.c_str() + 4, nullptr, 10) * 1024;
  }
  return 0;
}

namespace {

// cgroups(7), of version 2 at its usual place: the least memory.max of the group and those above it.
std::uint64_t cgroup_memory_bytes() {
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line) && !line.starts_with("0::")) {
  }
  if (!file) return least;
  for (std::string group = line.substr(3);; group.resize(group.rfind('/'))) {
    std::uint64_t bytes = 0;  // "max" is no number
    if (std::ifstream("/sys/fs/cgroup" + group + "/memory.max") >> bytes) least = std::min(least, bytes);
    if (group.find('/') == std::string::npos) return least;
  }
}

}  // namespace

std::uint64_t physical_memory_bytes() {
  const auto machine = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                       static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return std::min(machine, cgroup_memory_bytes());
}

bool is_memory_short() {
  constexpr double kTenth = 10.0;  // percent
  constexpr std::string_view kStart = "some avg10=";
  std::ifstream file("/proc/pressure/memory");
  std::string line;
  std::getline(file, line);
  return line.starts_with(kStart) && std::strtod(line.c_str() + kStart.size(), nullptr) > kTenth;
}

}  // namespace kiln
