// A child of an image: waits as a spare, takes one run, becomes its program.
#pragma once

#include <sys/types.h>

#include "daemon/image/run_notes.h"

namespace kiln::image {

// Sockets of an image that its children know.
struct ImageSockets {
  int channel =
      -1;  // SOCK_SEQPACKET from the daemon: a run's connection with each message; spares compete for them
  int taken = -1;  // SOCK_SEQPACKET to the image: "this child took this connection"
};

// Runs in a freshly forked child, with the interpreter's own fork handlers done. Does not return. UNCACHED is
// shared with the image alone.
[[noreturn]] void be_child(const ImageSockets& sockets, pid_t image, RunNotes notes);

}  // namespace kiln::image
