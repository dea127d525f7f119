// Between the last look at a source and its bytecode's coming to lie in its place there is a moment in which
// the source may be edited. Who has to be sure that no such bytecode comes later than an edit that was
// finished before, waits until the gate is empty: who enters it later looks at the source later.
#pragma once

#include <mutex>
#include <shared_mutex>

namespace kiln {

class WriteGate {
 public:
  // To be held from that look until the bytecode is there. Many may.
  std::shared_lock<std::shared_mutex> enter() { return std::shared_lock(mutex_); }
  void wait_until_empty() { const std::lock_guard none(mutex_); }

 private:
  std::shared_mutex mutex_;
};

// Of all who write in this process.
inline WriteGate& write_gate() {
  static WriteGate gate;
  return gate;
}

}  // namespace kiln
