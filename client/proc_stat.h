// Fields of /proc/PID/stat (proc_pid_stat(5)).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace kiln {

// Field NUMBER as the manual page counts them, from 4 on: before it stand numbers and the name, which may
// hold anything. Empty if there is no such process, or its directory cannot be read.
std::optional<std::int64_t> proc_stat_field(pid_t pid, int number);

}  // namespace kiln
