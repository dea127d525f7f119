// The umask of this process.
#pragma once

#include <sys/stat.h>

namespace kiln {

// It can be read only by setting it (umask(2)): for as long as there is one thread.
inline mode_t own_umask() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return mask;
}

}  // namespace kiln
