// `kiln stats`: runs by what became of them.
#include <gtest/gtest.h>

#include <regex>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace {

struct Counts {
  int served = -1;
  int executed = -1;
  std::string text;
};

Counts counts_now(const std::vector<std::string>& options = {}) {
  std::vector<std::string> arguments{"stats", "--json"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  Counts counts{.text = kiln(arguments).out};
  std::smatch match;
  const auto number = [&](const std::string& key) {
    return std::regex_search(counts.text, match, std::regex("\"" + key + "\": ?([0-9]+)"))
               ? std::stoi(match[1])
               : -1;
  };
  counts.served = number("served");
  counts.executed = number("executed");
  return counts;
}

LogLine run_hello(const std::vector<std::string>& changes = {}) {
  Outcome outcome = kiln({"run", "--python", any_python().path, "-c", "pass"}, changes);
  return take_log_line(outcome.err);
}

TEST(Stats, CountRunsByReasonOverRestarts) {
  ASSERT_TRUE(run_until_bare(any_python(), {"-c", "pass"}, base_environment()).is_served());
  // The image's word on the last run may come a moment later.
  ASSERT_TRUE(await([] { return counts_now().served > 0; }));
  EXPECT_GT(counts_now({"--reset"}).executed, 0) << "the runs that found no image";
  const Counts none = counts_now();
  EXPECT_EQ(none.executed, 0) << none.text;

  EXPECT_EQ(run_hello({"NOTIFY_SOCKET=/nowhere"}).reason, "supervised");
  EXPECT_EQ(run_hello({"NOTIFY_SOCKET=/nowhere"}).reason, "supervised");
  EXPECT_EQ(run_hello({"KILN_DISABLE=1"}).reason, "disabled");
  EXPECT_TRUE(run_hello().is_served());
  EXPECT_TRUE(await([&] { return counts_now().served == none.served + 1; }));
  EXPECT_EQ(describe_status(kiln({"daemon", "restart"}).status), "exit 0");
  EXPECT_EQ(run_hello({"LISTEN_PID=1"}).reason, "supervised");

  const Counts kept = counts_now();
  EXPECT_EQ(kept.served, none.served + 1) << kept.text;
  EXPECT_EQ(kept.executed, 3) << kept.text;
  EXPECT_NE(kept.text.find("\"supervised\""), std::string::npos) << kept.text;
  const std::string shown = kiln({"stats"}).out;
  EXPECT_TRUE(std::regex_search(shown, std::regex("supervised +3 / +3 \\(100.00 %\\)"))) << shown;
}

// Whoever may not write files of any size is neither counted nor killed for it.
TEST(Stats, CostALimitedProgramNothing) {
  const Outcome outcome = run({.argv = {"/bin/bash", "-c",
                                        "ulimit -f 0; exec '" + kiln_binary() + "' run --python '" +
                                            any_python().path + "' -c 'print(1)'"},
                               .environment = environment_with({"KILN_LOG", "LISTEN_PID=1"})});
  EXPECT_EQ(outcome.out, "1\n");
  EXPECT_EQ(describe_status(outcome.status), "exit 0") << outcome.err;
}

}  // namespace
}  // namespace kiln::e2e
