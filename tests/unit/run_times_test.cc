#include "daemon/run_times.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln {
namespace {

using testing::ElementsAre;

TEST(RunTimes, KeepsTheLastTimeAndTheNumberOfEach) {
  RunTimes times;
  EXPECT_FALSE(times.note("/python", {"/main.py", 1, 10}));
  EXPECT_FALSE(times.note("/python", {"/main.py", 2, 20}));
  EXPECT_FALSE(times.note("/python", {"/main.py", 1, 30}));
  EXPECT_THAT(times.take(),
              ElementsAre(RunTime{"/python", {"/main.py", 1, 30}, 2}, RunTime{"/python", {"/main.py", 2, 20}, 1}));
  EXPECT_THAT(times.take(), ElementsAre());
}

TEST(RunTimes, SaysWhenItIsFull) {
  RunTimes times;
  for (std::size_t i = 1; i < RunTimes::kMax; ++i) EXPECT_FALSE(times.note("/python", {"-c", i, 1}));
  EXPECT_TRUE(times.note("/python", {"-c", 0, 1}));
}

}  // namespace
}  // namespace kiln
