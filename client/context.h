// The context of a process: what a child of an image inherits from the image instead of the client, because
// no system call can hand it over. Equal contexts may share images.
#pragma once

#include <sys/resource.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/reason.h"

namespace kiln {

struct Context {
  std::vector<std::string> lines;  // name=value, in a fixed order
  std::uint64_t mount_namespace = 0;
  std::uint64_t root_device = 0;
  std::uint64_t root_inode = 0;
  std::uint64_t ignored_signals = 0;  // bit n-1: signal n
  int tracer_pid = 0;
  std::array<rlimit, RLIM_NLIMITS> limits{};
  // Why no image can have this context, if that is so: its children would not inherit it, or nobody can tell
  // whether another process has the same.
  std::optional<Reason> unshared;
};

// Reads this process's context. Empty if /proc or anything else needed cannot be read: then nothing is known.
std::optional<Context> read_context();

// Why this very process must be the interpreter, whatever it runs (DESIGN section 5, "Exec at once").
std::optional<Reason> must_exec(const Context& context);

}  // namespace kiln
