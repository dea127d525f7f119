// A child of an image: waits as a spare, takes one run, becomes its program.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "daemon/image/program.h"
#include "daemon/image/run_notes.h"

namespace kiln::image {

// Sockets of an image that its children know.
struct ImageSockets {
  int channel =
      -1;  // SOCK_SEQPACKET from the daemon: a run's connection with each message; spares compete for them
  int taken = -1;  // SOCK_SEQPACKET to the image: "this child took this connection"
};

// What an image gives a fresh fork of itself.
struct Spare {
  ImageSockets sockets;
  pid_t image = 0;
  RunNotes notes;  // shared with the image alone
};

// In a child of a bare image: waits for a run, and is its program; or for the order to rehearse one.
[[noreturn]] void be_child(Spare spare);

// In a child that will have no run: all that one of a command that prints does, but for what a program can
// have others told of. AT_END: what to do then (practice.h). Returns where it could not be done.
void practise_run(const ImageSockets& sockets, pid_t image, const std::function<void()>& at_end);

// In a child of a program at its stop: waits for a run, takes over all that is the run's, and returns, for
// the program to go on, which must be with the signals blocked that this returns (bit n-1: signal n).
struct Stopped {
  std::vector<int> descriptors;     // that the program has open, beside the standard streams
  std::vector<std::string> resets;  // Python code that makes up for known steps (known_step.h)
};
std::uint64_t go_on_as_child(Spare spare, const Stopped& stopped);

// The same of practise_run(): as if the program ended where it stands. LAUNCH: that it was started with.
void practise_going_on(const ImageSockets& sockets, pid_t image, const Stopped& stopped, const Launch& launch,
                       const std::function<void()>& at_end);

// Ends the program that this process is.
[[noreturn]] void leave_as_child(const Program::Outcome& outcome);

}  // namespace kiln::image
