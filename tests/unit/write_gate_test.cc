#include "daemon/write_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <optional>

namespace kiln {
namespace {

TEST(WriteGateTest, IsEmptyAtFirst) {
  WriteGate gate;
  gate.wait_for_all_inside();
}

TEST(WriteGateTest, WhoIsInsideIsWaitedFor) {
  WriteGate gate;
  std::optional<WriteGate::Pass> pass(std::in_place, gate);
  std::atomic<bool> left{false};
  auto waited = std::async(std::launch::async, [&] {
    gate.wait_for_all_inside();
    return left.load();
  });
  left = true;
  pass.reset();
  EXPECT_TRUE(waited.get());
}

// Each enters before the last one has left, so that there is always one inside.
TEST(WriteGateTest, WhoEntersLaterIsNot) {
  WriteGate gate;
  std::optional<WriteGate::Pass> passes[2];
  passes[0].emplace(gate);
  auto waited = std::async(std::launch::async, [&] { gate.wait_for_all_inside(); });
  std::size_t turns = 0;
  while (waited.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    ++turns;
    passes[turns % 2].emplace(gate);
    passes[(turns + 1) % 2].reset();
  }
  EXPECT_TRUE(passes[turns % 2]);
}

}  // namespace
}  // namespace kiln
