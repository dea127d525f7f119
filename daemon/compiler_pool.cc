#include "daemon/compiler_pool.h"

#include <algorithm>

namespace kiln {
namespace {

// Before 3.0 a process compiles for the level it was started with.
int own_level(const InterpreterInfo& interpreter, int level) {
  return interpreter.major < 3 ? level : 0;
}

// The same build: a binary that was replaced since is another.
bool serves(const CompileWorker& worker, const InterpreterInfo& interpreter, int level) {
  const InterpreterInfo& own = worker.interpreter();
  return own.executable == interpreter.executable && own.binary == interpreter.binary &&
         worker.level() == own_level(interpreter, level);
}

}  // namespace

std::unique_ptr<CompileWorker> CompilerPool::take(const InterpreterInfo& interpreter, int level) {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::ranges::find_if(idle_, [&](const Idle& idle) { return serves(*idle.worker, interpreter, level); });
  if (found == idle_.end()) {
    return std::make_unique<CompileWorker>(interpreter, limits_, own_level(interpreter, level));
  }
  auto worker = std::move(found->worker);
  idle_.erase(found);
  return worker;
}

void CompilerPool::give_back(std::unique_ptr<CompileWorker> worker) {
  const std::lock_guard lock(mutex_);
  idle_.push_back({std::move(worker), Clock::now()});
}

void CompilerPool::end_idle_since(Clock::time_point then) {
  std::vector<Idle> ending;  // they end when the lock is free again: each waits for a process
  const std::lock_guard lock(mutex_);
  for (Idle& idle : idle_) {
    if (idle.since < then) ending.push_back(std::move(idle));
  }
  std::erase_if(idle_, [](const Idle& idle) { return idle.worker == nullptr; });
}

std::size_t CompilerPool::idle() const {
  const std::lock_guard lock(mutex_);
  return idle_.size();
}

}  // namespace kiln
