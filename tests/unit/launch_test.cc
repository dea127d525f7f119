#include "common/launch.h"

#include <gtest/gtest.h>

#include <csignal>
#include <random>

#include "common/image_channel.h"

namespace kiln {
namespace {

Launch example() {
  Launch launch;
  launch.kind = TargetKind::module;
  launch.target = "json.tool";
  launch.arguments = {"a", "", "\xff"};
  launch.command_line = {"python3", "-m", "json.tool"};
  launch.name = "python3";
  launch.environment = {"A=1", "=odd", "NOEQUALS", ""};
  launch.descriptors = {0, 1, 2, 77};
  launch.umask = 027;
  launch.ignored_signals = 1;
  launch.blocked_signals = std::uint64_t{1} << 63;
  launch.soft_limits.fill(~std::uint64_t{0});
  launch.affinity = std::string("\x03\x00", 2);
  launch.host = "kiln.(none)";
  launch.oom_score_adj = -17;
  launch.process_group = 4321;
  return launch;
}

TEST(Launch, SurvivesTheRoundTrip) {
  const Launch launch = example();
  const auto decoded = decode_launch(encode_launch(launch));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->kind, launch.kind);
  EXPECT_EQ(decoded->target, launch.target);
  EXPECT_EQ(decoded->arguments, launch.arguments);
  EXPECT_EQ(decoded->command_line, launch.command_line);
  EXPECT_EQ(decoded->name, launch.name);
  EXPECT_EQ(decoded->environment, launch.environment);
  EXPECT_EQ(decoded->descriptors, launch.descriptors);
  EXPECT_EQ(decoded->umask, launch.umask);
  EXPECT_EQ(decoded->ignored_signals, launch.ignored_signals);
  EXPECT_EQ(decoded->blocked_signals, launch.blocked_signals);
  EXPECT_EQ(decoded->soft_limits, launch.soft_limits);
  EXPECT_EQ(decoded->affinity, launch.affinity);
  EXPECT_EQ(decoded->host, launch.host);
  EXPECT_EQ(decoded->oom_score_adj, launch.oom_score_adj);
  EXPECT_EQ(decoded->process_group, launch.process_group);
}

TEST(Launch, EveryTruncationIsRefused) {
  const std::string whole = encode_launch(example());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decode_launch(std::string_view(whole).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_launch(whole + "x"));
}

// Damage is refused or yields some launch, but never a crash, a hang, or memory beyond the input's size (asan
// looks).
TEST(Launch, RandomDamageIsHarmless) {
  const unsigned seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string whole = encode_launch(example());
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = whole;
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    const auto decoded = decode_launch(damaged);
    if (!decoded) continue;
    EXPECT_LE(decoded->descriptors.size(), damaged.size());
    for (const int fd : decoded->descriptors) EXPECT_GE(fd, 0);
  }
}

TEST(RunAnswers, SurviveTheRoundTrip) {
  EXPECT_EQ(decode_ready(encode_ready(Ready{42, 41}))->pid, 42);
  EXPECT_EQ(decode_ready(encode_ready(Ready{42, 41}))->image, 41);
  EXPECT_FALSE(decode_ready(encode_ready(Ready{0, 41})));
  EXPECT_FALSE(decode_ready(encode_ready(Ready{42, 0})));
  EXPECT_EQ(*decode_stopped(encode_stopped(SIGTSTP)), SIGTSTP);
  EXPECT_FALSE(decode_stopped(encode_stopped(0)));
  EXPECT_FALSE(decode_stopped(encode_stopped(65)));
  EXPECT_EQ(*decode_ended(encode_ended(0x7f)), 0x7f);
  const Error error = decode_refused(encode_refused({Reason::compile_error, "line 3", {}}));
  EXPECT_EQ(error.reason, Reason::compile_error);
  EXPECT_EQ(error.message, "line 3");
  EXPECT_EQ(decode_refused("nonsense").reason, Reason::protocol);
}

TEST(ImageChannel, SurvivesTheRoundTrip) {
  const ImageGreeting greeting{"build",    "served", "", "3.11.2", "cpython-311",
                               0x0a0d0da7, 12,       1,  {"A"},    {"/x", "/y"}};
  const auto decoded = decode_image_greeting(encode_image_greeting(greeting));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->inputs, greeting.inputs);
  EXPECT_EQ(decoded->reads, greeting.reads);
  EXPECT_EQ(decoded->magic, greeting.magic);
  EXPECT_FALSE(decode_image_greeting(encode_image_greeting(greeting) + "x"));
  const ImageReport sent{
      3, 1, false, {"/x/main.py", {"/x/a.py", "/x/b.py", "/y", "/y"}, {{"/a.py", "/b.py"}, 022, 1}, 77}};
  const auto report = decode_image_report(encode_image_report(sent));
  ASSERT_TRUE(report);
  auto twisted = encode_image_report(sent);
  twisted[16] = 2;  // whether the imports are the same
  EXPECT_FALSE(decode_image_report(twisted));
  EXPECT_EQ(report->served, 3U);
  EXPECT_EQ(report->run.entry, "/x/main.py");
  EXPECT_EQ(report->run.imported, sent.run.imported);
  EXPECT_EQ(report->run.uncached.paths, (std::vector<std::string>{"/a.py", "/b.py"}));
  EXPECT_EQ(report->run.uncached.umask, 022U);
  EXPECT_EQ(report->run.uncached.optimize, 1U);
  EXPECT_EQ(report->run.imports_hash, 77U);
}

TEST(Reasons, WordsNameReasons) {
  for (int i = 0; i <= static_cast<int>(Reason::internal); ++i) {
    const auto reason = static_cast<Reason>(i);
    EXPECT_EQ(reason_from_word(word(reason)), reason);
    EXPECT_FALSE(wording(reason).empty());
  }
  EXPECT_FALSE(reason_from_word("no such word"));
}

}  // namespace
}  // namespace kiln
