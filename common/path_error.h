// A system call that failed for a path.
#pragma once

#include <string>

#include "common/result.h"

namespace kiln {

// "WHAT PATH: strerror(errno)", with a command that shows what is in the way: the disk, the mount or the
// permissions. Reads errno.
Error path_error(const std::string& what, const std::string& path, Reason reason = Reason::system);

// That command, or none: of ERROR, an errno.
std::string path_hint(int error, const std::string& path);

// That command where PATH is there, but may not be used: chmod(1) with RIGHTS, "rx", is for its owner alone.
std::string permission_hint(const std::string& path, const std::string& rights);

}  // namespace kiln
