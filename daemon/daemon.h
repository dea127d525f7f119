// The daemon's life, from taking its lock to letting go of everything.
#pragma once

#include "common/result.h"

namespace kiln {

struct DaemonOptions {
  int ready_fd = -1;        // written one byte when connections are accepted
  bool foreground = false;  // log to standard error, too
};

// Returns when the daemon has been stopped. Another daemon that lives already is no error: there is one.
Result<void> run_daemon(const DaemonOptions& options);

}  // namespace kiln
