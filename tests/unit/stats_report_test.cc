#include "client/stats_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

namespace kiln {
namespace {

using testing::HasSubstr;
using testing::Not;

void add(proto::StatsReply& stats, const std::string& reason, std::uint64_t runs) {
  auto& count = *stats.add_counts();
  count.set_reason(reason);
  count.set_runs(runs);
}

proto::StatsReply some_runs() {
  proto::StatsReply stats;
  add(stats, "served", 30);
  add(stats, "no-image", 10);
  stats.set_warm(12);
  stats.set_warm_saved_us(2'400'000);
  return stats;
}

TEST(StatsReport, RatiosNest) {
  const std::string text = stats_text(some_runs());
  EXPECT_THAT(text, HasSubstr("Runs                          40\n"
                              "  Served                      30 /        40 ( 75.00 %)\n"
                              "    Warm                      12 /        30 ( 40.00 %)\n"
                              "    Bare                      18 /        30 ( 60.00 %)\n"
                              "  Executed                    10 /        40 ( 25.00 %)\n"
                              "    no-image                  10 /        10 (100.00 %)  "));
  EXPECT_THAT(text,
              HasSubstr("  Warm runs                 2.40 s  computing that was done before they began\n"));
}

TEST(StatsReport, RestoringSavesWhatCompilingTakesLessWhatItTakes) {
  proto::StatsReply stats;
  EXPECT_EQ(saved_by_restoring(stats), 0);
  stats.set_restored_bytes(10'000);
  stats.set_restored_us(1'000);
  EXPECT_EQ(saved_by_restoring(stats), std::nullopt) << "nothing was compiled: nobody knows what it takes";
  EXPECT_THAT(stats_text(stats), Not(HasSubstr("Restored files")));
  stats.set_compiled_bytes(2'000);
  stats.set_compiled_us(4'000);
  EXPECT_EQ(saved_by_restoring(stats), 2 * 10'000 - 1'000);
  stats.set_restored_us(30'000);
  EXPECT_EQ(saved_by_restoring(stats), -10'000) << "a slow disk";
}

TEST(StatsReport, Json) {
  EXPECT_EQ(boost::json::serialize(stats_json(some_runs())),
            R"({"version":1,"runs":40,"served":30,"warm":12,"bare":18,"executed":10,)"
            R"("executed_by_reason":{"no-image":10},)"
            R"("precompiled":{"compiled":0,"restored":0,"fresh":0,"errors":0},)"
            R"("by_itself":{"compiled":0,"restored":0,"errors":0},)"
            R"("saved_us":{"warm":2400000,"restored":0},"since_s":0})");
}

}  // namespace
}  // namespace kiln
