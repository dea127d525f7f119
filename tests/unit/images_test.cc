// Images with a fake at the other end of the channel: the test plays the interpreter.
#include "daemon/images.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/io_context.hpp>

#include "common/fd_passing.h"
#include "common/version.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

class ImagesTest : public testing::Test {
 protected:
  ImagesTest() {
    request_.mutable_key()->set_python("/usr/bin/env");  // something that has not changed lately
    request_.add_environment("SEEN=1");
  }
  ~ImagesTest() override {
    images_.close();
    tasks_.cancel();
    settle();
  }

  // Runs everything that is ready to run; nothing here waits for time.
  void settle() {
    context_.restart();
    while (context_.poll() > 0) {
    }
  }

  UniqueFd start() {
    auto decision = images_.route(request_, 0, true);
    auto* start = std::get_if<Images::Start>(&decision);
    return start != nullptr ? std::move(start->channel) : UniqueFd();
  }

  Reason refusal() {
    auto decision = images_.route(request_, 0, true);
    const auto* error = std::get_if<Error>(&decision);
    return error != nullptr ? error->reason : Reason::served;
  }

  void greet(const UniqueFd& channel, ImageGreeting greeting) {
    greeting.build_id = build_id();
    ASSERT_TRUE(send_with_fds(channel.get(), encode_image_greeting(greeting), {}));
    settle();
  }

  // Routes a pipe's end as a connection; true if it came out at the image's end.
  bool is_handed_over(const UniqueFd& channel) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd reader{ends[0]};
    const UniqueFd writer{ends[1]};
    const auto decision = images_.route(request_, writer.get(), true);
    if (!std::holds_alternative<Images::HandedOver>(decision)) return false;
    const auto received = receive_with_fds(channel.get(), 1, MSG_DONTWAIT);
    return received && received->fds.size() == 1;
  }

  boost::asio::io_context context_;
  TaskGroup tasks_{context_.get_executor()};
  Watcher watcher_;
  Images images_{context_.get_executor(), tasks_, watcher_, 4};
  proto::RunRequest request_;
  ImageGreeting served_{"", "served", "", "3.11.2", "cpython-311", 0, 1, 0, {}, {}};
};

TEST_F(ImagesTest, TheFirstRunStartsOneAndTheNextDoNot) {
  const UniqueFd channel = start();
  ASSERT_TRUE(channel);
  EXPECT_EQ(refusal(), Reason::image_starting);
  greet(channel, served_);
  EXPECT_TRUE(is_handed_over(channel));
  EXPECT_TRUE(is_handed_over(channel));
}

TEST_F(ImagesTest, TheEndOfEachRunIsTold) {
  std::vector<std::string> told;
  images_.on_run = [&](const std::string& path, const ImageGreeting&, const RunRecord& run,
                       bool same_imports) {
    told.push_back(path + " " + run.entry + " " + std::to_string(run.imports_hash) +
                   (same_imports ? " same" : ""));
  };
  const UniqueFd channel = start();
  greet(channel, served_);
  const auto report = [&](const std::string& entry, bool same_imports) {
    const ImageReport sent{1, 0, same_imports, {entry, {}, {}, 7}};
    ASSERT_TRUE(send_with_fds(channel.get(), encode_image_report(sent), {}));
    settle();
  };
  report("/main.py", false);
  report("/main.py", true);
  report("", false);  // one that noted nothing
  EXPECT_EQ(told, (std::vector<std::string>{"/usr/bin/env /main.py 7", "/usr/bin/env /main.py 7 same"}));
}

TEST_F(ImagesTest, KeysAreToldApart) {
  const UniqueFd channel = start();
  greet(channel, served_);
  request_.mutable_key()->add_options("-O");
  EXPECT_TRUE(start());
}

TEST_F(ImagesTest, VariablesThatStartUpCodeReadAreToldApart) {
  const UniqueFd channel = start();
  served_.reads = {"SEEN", "ABSENT"};
  greet(channel, served_);
  request_.add_environment("OTHER=x");
  EXPECT_TRUE(is_handed_over(channel));
  request_.add_environment("ABSENT=now");
  const UniqueFd second = start();
  ASSERT_TRUE(second) << "a variable that was absent is there";
  greet(second, served_);
  request_.clear_environment();
  request_.add_environment("SEEN=2");
  EXPECT_TRUE(start()) << "a variable has another value";
}

TEST_F(ImagesTest, AWholeEnvironmentIsComparedButForWhatAlwaysChanges) {
  const UniqueFd channel = start();
  served_.whole_environment = 1;
  greet(channel, served_);
  request_.add_environment("SHLVL=7");
  EXPECT_TRUE(is_handed_over(channel));
  request_.add_environment("OTHER=x");
  EXPECT_TRUE(start());
}

TEST_F(ImagesTest, AChangedInputEndsAnImage) {
  const Scratch scratch;
  const std::string absent = scratch / "sitecustomize.py";
  const UniqueFd channel = start();
  served_.inputs = {absent};
  greet(channel, served_);
  ASSERT_TRUE(is_handed_over(channel));
  scratch.write("sitecustomize.py", "x");
  EXPECT_TRUE(start());
  settle();
  const auto received = receive_with_fds(channel.get(), 1, MSG_DONTWAIT);
  EXPECT_TRUE(received && received->bytes.empty()) << "the old image was not let go";
}

TEST_F(ImagesTest, AnInputThatChangedWhileStartingDoesNotCount) {
  const Scratch scratch;
  const UniqueFd channel = start();
  served_.inputs = {scratch.write("new.pth", "x")};
  greet(channel, served_);
  EXPECT_TRUE(start()) << "an image was trusted that may have read the old file";
}

TEST_F(ImagesTest, ARefusingInterpreterIsNotTriedAgain) {
  const UniqueFd channel = start();
  served_.reason = "interpreter";
  greet(channel, served_);
  EXPECT_EQ(refusal(), Reason::interpreter);
  EXPECT_EQ(refusal(), Reason::interpreter);
}

// Once may be chance.
TEST_F(ImagesTest, TwoThatDieBeforeTheyGreetHaveFailed) {
  for (int i = 0; i < 2; ++i) {
    UniqueFd channel = start();
    ASSERT_TRUE(channel);
    channel.reset();
    settle();
  }
  EXPECT_EQ(refusal(), Reason::image_failed);
}

TEST_F(ImagesTest, OneThatDiesLaterIsReplaced) {
  UniqueFd channel = start();
  greet(channel, served_);
  channel.reset();
  settle();
  EXPECT_TRUE(start());
}

TEST_F(ImagesTest, NonsenseOnTheChannelIsAFailure) {
  const UniqueFd channel = start();
  ASSERT_TRUE(send_with_fds(channel.get(), "nonsense", {}));
  settle();
  EXPECT_EQ(refusal(), Reason::protocol);
}

TEST_F(ImagesTest, TheLeastRecentlyUsedMakesRoom) {
  std::vector<UniqueFd> channels;
  for (int i = 0; i < 5; ++i) {
    request_.mutable_key()->set_argv0(std::to_string(i));
    channels.push_back(start());
    greet(channels.back(), served_);
  }
  request_.mutable_key()->set_argv0("4");
  EXPECT_TRUE(is_handed_over(channels[4]));
  request_.mutable_key()->set_argv0("0");
  EXPECT_TRUE(start()) << "the oldest of five should have made room in four places";
}

TEST_F(ImagesTest, ALowerLimitLetsGoOfTheLeastRecentlyUsed) {
  std::vector<UniqueFd> channels;
  for (const char* option : {"-B", "-O", "-s"}) {
    request_.mutable_key()->clear_options();
    request_.mutable_key()->add_options(option);
    channels.push_back(start());
    greet(channels.back(), served_);
  }
  images_.set_limit(1);
  settle();
  EXPECT_TRUE(is_handed_over(channels[2]));
  request_.mutable_key()->set_options(0, "-B");
  EXPECT_TRUE(start()) << "it was let go";
}

}  // namespace
}  // namespace kiln
