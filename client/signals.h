// Signals of a run: those that others send to the client belong to the program.
#pragma once

#include <cstdint>

#include "common/unique_fd.h"

namespace kiln {

// Blocks the forwarded signals for as long as it lives, from before anything else of a run happens: one that
// arrives early waits for the program, or, if the run is exec'd, for the interpreter that takes this process
// over.
class HeldSignals {
 public:
  HeldSignals();
  ~HeldSignals();
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  // The mask from before; bit n-1: signal n.
  std::uint64_t former_mask() const { return former_mask_; }
  // A signalfd(2) of the forwarded signals.
  UniqueFd open_fd() const;

 private:
  std::uint64_t former_mask_ = 0;
};

// Ends this process by SIGNAL, as a program that died of it: no core, for the program left its own.
[[noreturn]] void die_of(int signal);

}  // namespace kiln
