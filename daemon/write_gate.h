// Between the last look at a source and its bytecode's coming to lie in its place there is a moment in which
// the source may be edited. Who has to be sure that no such bytecode comes later than an edit that was
// finished before, waits for all who are inside the gate: who enters it later looks at the source later.
//
// *Rejected:* std::shared_mutex, whose readers go before a writer: where many workers write, one of them is
// always inside.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>

namespace kiln {

class WriteGate {
 public:
  // To be held from that look until the bytecode is there. Many may.
  class Pass {
   public:
    explicit Pass(WriteGate& gate) : gate_(gate), number_(gate.enter_as_next()) {}
    ~Pass() { gate_.leave(number_); }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    WriteGate& gate_;
    const std::uint64_t number_;
  };

  Pass enter() { return Pass(*this); }

  void wait_for_all_inside() {
    std::unique_lock lock(mutex_);
    left_.wait(lock, [this, next = next_] { return inside_.empty() || *inside_.begin() >= next; });
  }

 private:
  std::uint64_t enter_as_next() {
    const std::lock_guard lock(mutex_);
    inside_.insert(next_);
    return next_++;
  }

  void leave(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    inside_.erase(number);
    left_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable left_;
  std::uint64_t next_ = 0;
  std::set<std::uint64_t> inside_;  // by when they entered
};

// Of all who write in this process.
inline WriteGate& write_gate() {
  static WriteGate gate;
  return gate;
}

}  // namespace kiln
