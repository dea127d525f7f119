// What Ctrl-C leaves behind, said before it ends this process: a daemon goes on with what it was asked for.
#pragma once

#include <csignal>

#include "common/result.h"

namespace kiln {

// For as long as it lives SIGINT, unless it is ignored, has NOTE printed as a warning first. One at a time.
class InterruptNote {
 public:
  explicit InterruptNote(const Error& note);
  ~InterruptNote();
  InterruptNote(const InterruptNote&) = delete;
  InterruptNote& operator=(const InterruptNote&) = delete;

 private:
  struct sigaction former_ {};
};

}  // namespace kiln
