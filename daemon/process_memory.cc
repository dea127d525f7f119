#include "daemon/process_memory.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
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

std::uint64_t physical_memory_bytes() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
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
