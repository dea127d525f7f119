// The sentences of `kiln explain run`.
#include "client/explain_run_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln {
namespace {

using testing::HasSubstr;
using testing::Not;

proto::ExplainRunReply reply(const std::string& how) {
  proto::ExplainRunReply reply;
  reply.set_how(how);
  reply.set_run_ahead(true);
  return reply;
}

proto::ExplainRunReply::Stop& add_stop(proto::ExplainRunReply& reply, const std::string& step) {
  auto& stop = *reply.add_stops();
  stop.mutable_image()->set_place("/src/cli.py:12");
  stop.mutable_image()->set_step(step);
  stop.mutable_image()->set_modules(57);
  stop.mutable_image()->set_saved_us(480'400);
  stop.add_inputs("/src/cli.py");
  return stop;
}

TEST(ExplainRunReport, OneThatIsExecuted) {
  auto executed = reply("exec");
  executed.set_reason("no-image");
  const std::string text = run_explanation_text(executed, "/usr/bin/python3");
  EXPECT_THAT(text, HasSubstr("Executed: /usr/bin/python3 itself runs it (no-image: "));
  EXPECT_THAT(text, HasSubstr("That run starts what the next one may need."));
  executed.set_reason("traced");
  EXPECT_THAT(run_explanation_text(executed, "/usr/bin/python3"), Not(HasSubstr("the next one")));
}

TEST(ExplainRunReport, OneThatWasNotRunAhead) {
  EXPECT_THAT(run_explanation_text(reply("bare"), "p"), HasSubstr("It has not been run ahead yet"));
  auto in_vain = reply("bare");
  in_vain.set_in_vain(true);
  EXPECT_THAT(run_explanation_text(in_vain, "p"), HasSubstr("It could not be run ahead"));
  auto off = reply("bare");
  off.set_run_ahead(false);
  off.set_not_ahead("images.programs is false");
  EXPECT_THAT(run_explanation_text(off, "p"), HasSubstr("images.programs is false"));
}

TEST(ExplainRunReport, AStopWithAllItDependsOn) {
  auto warm = reply("program");
  auto& stop = add_stop(warm, "reads the clock");
  stop.mutable_image()->set_last(true);
  stop.mutable_image()->add_arguments("check");
  stop.mutable_image()->set_finalized("an object of demo.Thing");
  stop.set_directory(true);
  for (int i = 0; i < 10; ++i) stop.add_variables("V" + std::to_string(i));
  add_stop(warm, "looks at its arguments");
  EXPECT_EQ(
      run_explanation_text(warm, "p"),
      "Warm: the program was run ahead, and goes on from there.\n"
      "It goes on at /src/cli.py:12, before it reads the clock: 57 modules are loaded there, and 480 ms of "
      "computing done.\n"
      "That depends on 1 file or directory, on its arguments, on the working directory, and on the variables "
      "V0, V1, V2, V3, V4, V5, V6, V7 and 2 more.\n"
      "At its end the interpreter is torn down, which takes a while, because of an object of demo.Thing.\n"
      "If that is done while modules are imported, move it into functions that are called later: images "
      "then reach further.\n"
      "Its other stops:\n"
      "  /src/cli.py:12, before it looks at its arguments: less far\n");
}

TEST(ExplainRunReport, StopsThatDoNotSuit) {
  auto bare = reply("bare");
  add_stop(bare, "reads the clock").set_unsuited("FRUIT had another value");
  EXPECT_THAT(
      run_explanation_text(bare, "p"),
      HasSubstr("Its stops do not suit this run:\n  /src/cli.py:12, before it reads the clock: FRUIT had "
                "another value\n"));
}

TEST(ExplainRunReport, JsonHasAll) {
  auto warm = reply("program");
  add_stop(warm, "ends").set_whole_environment(true);
  const auto document = run_explanation_json(warm);
  EXPECT_EQ(document.at("version"), 1);
  EXPECT_EQ(document.at("how"), "program");
  EXPECT_TRUE(document.at("reason").is_null());
  const auto& stop = document.at("stops").as_array().at(0);
  EXPECT_TRUE(stop.at("serves").as_bool());
  EXPECT_TRUE(stop.at("whole_environment").as_bool());
  EXPECT_EQ(stop.at("inputs").as_array().at(0), "/src/cli.py");
}

}  // namespace
}  // namespace kiln
