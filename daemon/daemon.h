// The daemon's life, from taking its lock to letting go of everything.
#pragma once

#include "common/result.h"

namespace kiln {

struct DaemonOptions {
  int ready_fd =
      -1;  // whoever starts a daemon in the background waits here for one byte: it accepts connections
  bool foreground = false;  // log to standard error, too
};

// Returns when the daemon has been stopped. Another that lives already fails it with Reason::already_running,
// but is welcome to who waits at ready_fd: any number of clients may start one, and one remains.
Result<void> run_daemon(const DaemonOptions& options);

}  // namespace kiln
