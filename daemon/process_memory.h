// What a process takes of the machine's memory.
#pragma once

#include <cstdint>

namespace kiln {

// Its proportional set size (proc(5), smaps_rollup): pages that several processes share count in parts. 0:
// unknown.
std::uint64_t proportional_set_bytes(std::uint64_t pid);

// What the machine has, or the control group of this process, if that is less.
std::uint64_t physical_memory_bytes();

// Whether processes have waited for memory for more than a tenth of the last seconds (/proc/pressure/memory);
// false where the kernel does not tell.
bool is_memory_short();

}  // namespace kiln
