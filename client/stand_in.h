// This process stands in for its program towards whoever started it: forwards the signals that are sent to
// it, stops, continues and ends as the program does, so that a shell's job control, and any parent, see in it
// what they would see of the program.
#pragma once

#include <sys/types.h>

#include "client/process_group.h"
#include "client/run_timing.h"
#include "common/unique_fd.h"

namespace kiln {

// The child of an image that is about to be the program.
struct Child {
  pid_t pid = 0;
  pid_t image = 0;
  bool is_ahead = false;  // it stands at its program's first step
  UniqueFd pidfd;
  UniqueFd status_page;
};

class StandIn {
 public:
  // CONNECTION to the child and its image; SIGNALS: a signalfd that does not block. All are the caller's.
  StandIn(int connection, int signals, const Child& child, ProcessGroup& group, RunTiming& timing)
      : connection_(connection), signals_(signals), child_(child), group_(group), timing_(timing) {}

  // Forwards what has arrived.
  void forward();

  // Until the program's end, which is this process's.
  [[noreturn]] void stay();

 private:
  void hear();
  void stop(int signal);
  bool is_continued() const;
  void act_as_orphan(int signal) const;
  void send(int signal) const;
  void close_program_descriptors() const;
  [[noreturn]] void exit_like(int wait_status);
  void let_image_reap() const;
  [[noreturn]] void end_without_image();

  int connection_;  // -1 when the image is lost
  int signals_;
  const Child& child_;
  ProcessGroup& group_;
  RunTiming& timing_;
};

}  // namespace kiln
