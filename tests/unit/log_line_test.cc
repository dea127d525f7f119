#include "client/log_line.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(LogLine, IsAnObject) {
  EXPECT_EQ(log_line_json("2026-11-28 17:38:09.360 30052 warning the index \"x\" failed"),
            R"({"version":1,"time":"2026-11-28T17:38:09.360","pid":30052,"level":"warning",)"
            R"("message":"the index \"x\" failed"})");
}

TEST(LogLine, WhatGoesOnHasNoTime) {
  const std::string nothing = R"({"version":1,"time":null,"pid":null,"level":null,"message":)";
  EXPECT_EQ(log_line_json("  File \"x\""), nothing + R"("  File \"x\""})");
  EXPECT_EQ(log_line_json(""), nothing + R"(""})");
  EXPECT_EQ(log_line_json("2026-11-28 17:38:09.360"), nothing + R"("2026-11-28 17:38:09.360"})");
}

}  // namespace
}  // namespace kiln
