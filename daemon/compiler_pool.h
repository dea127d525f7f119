// Compile workers that wait for work: starting an interpreter takes longer than compiling ten files. They are
// kept over requests, and let go when nobody has wanted them for a while.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "daemon/compile_worker.h"

namespace kiln {

// All functions may be called from any thread.
class CompilerPool {
 public:
  using Clock = std::chrono::steady_clock;

  explicit CompilerPool(CompileLimits limits = {}) : limits_(limits) {}

  // One for this interpreter, from those that wait, or a new one, which is not started yet. LEVEL, 0 to 2,
  // counts for 2.7 only.
  std::unique_ptr<CompileWorker> take(const InterpreterInfo& interpreter, int level);
  void give_back(std::unique_ptr<CompileWorker> worker);

  // Ends those that were given back before THEN.
  void end_idle_since(Clock::time_point then);
  std::size_t idle() const;

 private:
  struct Idle {
    std::unique_ptr<CompileWorker> worker;
    Clock::time_point since;
  };

  const CompileLimits limits_;
  mutable std::mutex mutex_;
  std::vector<Idle> idle_;
};

}  // namespace kiln
