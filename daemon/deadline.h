// A point in time until which an operation of several blocking steps may take.
#pragma once

#include <algorithm>
#include <chrono>
#include <climits>

namespace kiln {

class Deadline {
 public:
  // Negative: there is none.
  explicit Deadline(int timeout_ms)
      : endless_(timeout_ms < 0),
        end_(std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms)) {}

  // What is left, as poll(2) wants it: rounded up, 0 when the time is over, -1 when there is no end.
  int left_ms() const {
    if (endless_) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<long long>(left.count(), 0, INT_MAX));
  }

 private:
  bool endless_;
  std::chrono::steady_clock::time_point end_;
};

}  // namespace kiln
