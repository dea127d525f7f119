// Programs at their stops, with a fake at the other end of the channels: the test plays the bare image and
// the rehearsal.
#include "daemon/program_images.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>

#include "common/fd_passing.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

const std::string kKey = "the bare image's";
constexpr std::int64_t kTrusted_ns = 40'000'000;

class ProgramImagesTest : public testing::Test {
 protected:
  ProgramImagesTest() {
    int pair[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    daemons_end_.reset(pair[0]);
    bare_.reset(pair[1]);
    for (const char* name : {"early.py", "late.py"}) {
      scratch_.write(name, "1");
      note(name);
    }
    let_it_be_old("late.py");
  }
  ~ProgramImagesTest() override {
    images_.close();
    tasks_.cancel();
    settle();
  }

  void settle() {
    context_.restart();
    while (context_.poll() > 0) {
    }
  }

  // What was made in this very moment may have been read before it was: that is not trusted.
  void let_it_be_old(const std::string& name) {
    const std::int64_t trusted_ns = stamp_of(scratch_ / name).changed_ns + kTrusted_ns;
    timespec now{};
    do {
      ::clock_gettime(CLOCK_REALTIME, &now);
    } while (std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec < trusted_ns);
  }

  void note(const std::string& name) { stamps_[name] = stamp_of(scratch_ / name); }

  ProgramInput input(const std::string& name) const {
    return {ProgramInput::Kind::content, scratch_ / name, stamps_.at(name), 0};
  }

  static proto::RunRequest request(const std::vector<std::string>& arguments,
                                   const std::string& variable = "FRUIT=fig") {
    Launch launch;
    launch.kind = TargetKind::file;
    launch.target = "/src/main.py";
    launch.arguments = arguments;
    launch.descriptors = {0, 1, 2};
    proto::RunRequest request;
    request.mutable_key()->set_python("/usr/bin/python3");
    request.add_environment(variable);
    request.set_launch(encode_launch(launch));
    request.set_cwd("/src");
    request.set_streams("n4096 p4096 p4096");
    return request;
  }

  // The channels of a rehearsal of RUN; none: it is not rehearsed.
  std::vector<UniqueFd> rehearse(const proto::RunRequest& run) {
    images_.remember(kKey, run);
    return rehearse();
  }
  std::vector<UniqueFd> rehearse() {
    images_.rehearse(kKey, {}, daemons_end_.get());
    auto order = receive_with_fds(bare_.get(), 1, MSG_DONTWAIT);
    if (!order || order->fds.size() != 1 + kRehearsalSockets) return {};
    order->fds.erase(order->fds.begin());
    seed_ = std::move(order->fds.back());
    order->fds.pop_back();
    return std::move(order->fds);
  }

  void report(const UniqueFd& channel, const RehearsalReport& report) {
    const std::string text = encode_rehearsal_report(report);
    const UniqueFd memory{::memfd_create("report", MFD_CLOEXEC)};
    ASSERT_EQ(::write(memory.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    const std::array fds{memory.get()};
    ASSERT_TRUE(send_with_fds(channel.get(), "s", fds));
    settle();
  }

  RehearsalReport before_arguments() const {
    RehearsalReport stop;
    stop.step = "looks at its arguments";
    stop.inputs = {input("early.py")};
    return stop;
  }
  RehearsalReport before_project() const {
    RehearsalReport stop = before_arguments();
    stop.step = "looks into its own project";
    stop.has_seed = true;
    return stop;
  }
  RehearsalReport last() const {
    RehearsalReport stop;
    stop.step = "reads the clock";
    stop.is_last = true;
    stop.has_read_arguments = true;
    stop.variables = {"FRUIT"};
    stop.inputs = {input("early.py"), input("late.py")};
    return stop;
  }

  // A whole rehearsal of RUN, with two stops.
  std::vector<UniqueFd> run_ahead(const proto::RunRequest& run) {
    return stop_at(before_arguments(), rehearse(run));
  }
  std::vector<UniqueFd> stop_at(const RehearsalReport& first, std::vector<UniqueFd> channels) {
    EXPECT_EQ(channels.size(), kRehearsalStops);
    if (channels.size() != kRehearsalStops) return {};
    report(channels[0], first);
    report(channels[1], last());
    channels.pop_back();  // is closed: it was not needed
    settle();
    return channels;
  }

  // Which of CHANNELS got the run; -1: none.
  int server_of(const proto::RunRequest& run, const std::vector<UniqueFd>& channels) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd reader{ends[0]};
    const UniqueFd writer{ends[1]};
    const bool served = images_.serve(kKey, run, writer.get());
    settle();
    int server = -1;
    for (std::size_t i = 0; i < channels.size(); ++i) {
      const auto received = receive_with_fds(channels[i].get(), 1, MSG_DONTWAIT);
      if (received && received->fds.size() == 1) server = static_cast<int>(i);
    }
    EXPECT_EQ(served, server >= 0);
    return server;
  }

  std::size_t count() const {
    proto::Status status;
    images_.describe(status);
    return static_cast<std::size_t>(status.images_size());
  }

  Scratch scratch_;
  std::map<std::string, FileStamp> stamps_;
  UniqueFd daemons_end_;
  UniqueFd bare_;
  UniqueFd seed_;  // of the last rehearsal
  boost::asio::io_context context_;
  TaskGroup tasks_{context_.get_executor()};
  Watcher watcher_;
  ProgramImages images_{context_.get_executor(), tasks_, watcher_, 16};
};

TEST_F(ProgramImagesTest, TheFurthestThatSuitsServes) {
  const auto channels = run_ahead(request({"check"}));
  EXPECT_EQ(server_of(request({"check"}), channels), 1);
  EXPECT_EQ(server_of(request({"migrate"}), channels), 0) << "with other arguments from before them";
  EXPECT_EQ(server_of(request({"check"}, "FRUIT=pear"), channels), 0) << "the variable was read later";
  EXPECT_EQ(server_of(request({"check"}, "NUT=pecan"), channels), 0) << "it is missing now";
  auto elsewhere = request({"check"});
  elsewhere.set_streams("t1024 t1024 t1024");
  EXPECT_EQ(server_of(elsewhere, channels), -1);
}

TEST_F(ProgramImagesTest, OneThatIsStartingHasItsProgramsName) {
  const auto channels = rehearse(request({"check"}));
  proto::Status status;
  images_.describe(status);
  ASSERT_GT(status.images_size(), 0);
  EXPECT_EQ(status.images(0).state(), "starting");
  EXPECT_EQ(status.images(0).entry(), "/src/main.py");
}

TEST_F(ProgramImagesTest, AnEditLeavesTheStopsBeforeIt) {
  auto channels = run_ahead(request({"check"}));
  scratch_.write("late.py", "22");
  EXPECT_EQ(server_of(request({"check"}), channels), 0);
  EXPECT_EQ(count(), 1U);
  scratch_.write("early.py", "22");
  EXPECT_EQ(server_of(request({"check"}), channels), -1);
  EXPECT_EQ(count(), 0U);
}

TEST_F(ProgramImagesTest, WhatIsNewReplacesWhatIsOld) {
  const auto old = run_ahead(request({"check"}));
  EXPECT_EQ(server_of(request({"check"}), old), 1);
  EXPECT_TRUE(rehearse(request({"check"})).empty()) << "it has been run ahead as far as it goes";
  scratch_.write("late.py", "22");
  EXPECT_EQ(server_of(request({"check"}), old), 0)
      << "and it is remembered that it should be run ahead again";
}

TEST_F(ProgramImagesTest, AnEditIsRehearsedFromBeforeTheProject) {
  const auto run = request({"check"});
  images_.want(kKey, run);
  const auto old = stop_at(before_project(), rehearse());
  scratch_.write("late.py", "22");
  EXPECT_EQ(server_of(run, old), 0);
  let_it_be_old("late.py");
  images_.want(kKey, run);
  EXPECT_TRUE(rehearse().empty()) << "the bare image has no part in it";
  auto order = receive_with_fds(seed_.get(), 1, MSG_DONTWAIT);
  ASSERT_TRUE(order);
  ASSERT_EQ(order->fds.size(), kRehearsalStops - 1);
  note("late.py");
  report(order->fds[0], last());
  order->fds.pop_back();
  settle();
  EXPECT_EQ(server_of(run, order->fds), 0);
  EXPECT_EQ(server_of(request({"migrate"}), old), 0) << "what it came by is still there";
  scratch_.write("early.py", "22");
  EXPECT_EQ(server_of(run, old), -1);
  const auto end = receive_with_fds(seed_.get(), 1, MSG_DONTWAIT);
  EXPECT_TRUE(!end || end->fds.empty()) << "it is closed";
  images_.want(kKey, run);
  EXPECT_EQ(rehearse().size(), kRehearsalStops) << "from the beginning";
}

TEST_F(ProgramImagesTest, WhatFailsFromTheSeedIsTriedFromTheBeginning) {
  const auto run = request({"check"});
  images_.want(kKey, run);
  const auto old = stop_at(before_project(), rehearse());
  scratch_.write("late.py", "22");
  EXPECT_EQ(server_of(run, old), 0);
  images_.want(kKey, run);
  EXPECT_TRUE(rehearse().empty());
  EXPECT_TRUE(receive_with_fds(seed_.get(), 1, MSG_DONTWAIT));  // and is closed
  settle();
  EXPECT_EQ(server_of(run, old), 0);
  EXPECT_TRUE(rehearse().empty()) << "not at once";
  images_.want(kKey, run);  // it waits no longer
  EXPECT_EQ(rehearse().size(), kRehearsalStops);
}

TEST_F(ProgramImagesTest, OneThatChangedMeanwhileIsNotKept) {
  const auto channels = rehearse(request({}));
  ASSERT_EQ(channels.size(), kRehearsalStops);
  scratch_.write("late.py", "22");
  note("late.py");
  report(channels[0], last());
  EXPECT_EQ(server_of(request({}), channels), -1);
}

TEST_F(ProgramImagesTest, OneRunAtATimeIsRehearsed) {
  const auto first = rehearse(request({"a"}));
  EXPECT_EQ(first.size(), kRehearsalStops);
  auto other = request({});
  other.set_streams("n4096 n4096 n4096");
  EXPECT_TRUE(rehearse(other).empty());
  report(first[0], last());
}

TEST_F(ProgramImagesTest, WhatCouldNotBeRehearsedIsNotTriedAgainAtOnce) {
  {
    const auto channels = rehearse(request({}));
    EXPECT_EQ(channels.size(), kRehearsalStops);
  }
  settle();
  EXPECT_EQ(count(), 0U);
  EXPECT_TRUE(rehearse(request({})).empty());
}

TEST_F(ProgramImagesTest, DamagedReportsAreRefused) {
  const auto channels = rehearse(request({}));
  ASSERT_EQ(channels.size(), kRehearsalStops);
  ASSERT_TRUE(send_with_fds(channels[0].get(), "nonsense", {}));
  settle();
  EXPECT_EQ(count(), kRehearsalStops - 1);
}

TEST_F(ProgramImagesTest, LimitsHold) {
  const auto channels = run_ahead(request({"check"}));
  EXPECT_EQ(count(), 2U);
  images_.set_limit(1);
  EXPECT_EQ(count(), 1U);
  images_.forget("another");
  EXPECT_EQ(count(), 1U);
  images_.forget(kKey);
  EXPECT_EQ(count(), 0U);
}

// It lets nothing else be run ahead.
TEST_F(ProgramImagesTest, KillsARehearsalThatHangs) {
  const pid_t hanging = ::fork();
  if (hanging == 0) {
    while (true) ::pause();
  }
  const UniqueFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, hanging, 0))};
  const auto channels = rehearse(request({"a"}));
  ASSERT_EQ(channels.size(), kRehearsalStops);
  for (const UniqueFd& channel : channels)
    ASSERT_TRUE(send_with_fds(channel.get(), std::string(1, kGoesOn), std::array{pidfd.get()}));
  settle();
  images_.tend();
  EXPECT_EQ(::waitpid(hanging, nullptr, WNOHANG), 0);
  EXPECT_TRUE(rehearse(request({"b"})).empty());
  images_.tend(ProgramImages::Clock::now() + std::chrono::minutes(2));
  int status = 0;
  EXPECT_EQ(::waitpid(hanging, &status, 0), hanging);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(rehearse(request({"b"})).size(), kRehearsalStops);
}

}  // namespace
}  // namespace kiln
