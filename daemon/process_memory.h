// What a process takes of the machine's memory.
#pragma once

#include <cstdint>

namespace kiln {

// Its proportional set size (proc(5), smaps_rollup): pages that several processes share count in parts. 0:
// unknown.
std::uint64_t proportional_set_bytes(std::uint64_t pid);

}  // namespace kiln
