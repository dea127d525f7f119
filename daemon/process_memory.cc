#include "daemon/process_memory.h"

#include <cstdlib>
#include <fstream>
#include <string>

namespace kiln {

std::uint64_t proportional_set_bytes(std::uint64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Pss:")) return std::strtoull(line.c_str() + 4, nullptr, 10) * 1024;
  }
  return 0;
}

}  // namespace kiln
