// The thread of the index beside the thread that asks: above all for the thread sanitizer.
#include "daemon/index_thread.h"

#include <gtest/gtest.h>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "common/pyc.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_code.h"

namespace kiln {
namespace {

namespace asio = boost::asio;

class IndexThreadTest : public testing::Test {
 protected:
  static InterpreterInfo interpreter(const std::string& executable) {
    InterpreterInfo info;
    info.path = info.executable = executable;
    info.implementation = "cpython";
    info.version = "3.11.2";
    info.cache_tag = "cpython-311";
    return info;
  }

  void ask(IndexThread& index) {
    asio::co_spawn(context_, index.summarize(), [this](std::exception_ptr failure, auto summary) {
      EXPECT_EQ(failure, nullptr);
      answers_.push_back(std::move(summary));
    });
  }

  Scratch scratch_;
  asio::io_context context_{1};
  std::vector<Result<IndexSummary>> answers_;
};

TEST_F(IndexThreadTest, AnswersInTheOrderOfAsking) {
  IndexThread index(scratch_ / "index.db");
  constexpr std::size_t kTimes = 10;
  for (std::size_t i = 0; i < kTimes; ++i) {
    index.record(interpreter("/python" + std::to_string(i)), 0, {});
    ask(index);
    context_.poll();
  }
  context_.restart();
  context_.run();
  ASSERT_EQ(answers_.size(), kTimes);
  for (std::size_t i = 0; i < kTimes; ++i) EXPECT_EQ(answers_[i].value().interpreters.size(), i + 1);
}

TEST_F(IndexThreadTest, WhatIsQueuedIsWrittenBeforeItCloses) {
  const std::string path = scratch_ / "index.db";
  {
    IndexThread index(path);
    for (int i = 0; i < 10; ++i) index.record(interpreter("/python" + std::to_string(i)), 0, {});
    index.interrupt();
  }
  EXPECT_EQ(Index::open(path).value().interpreters().value().size(), 10U);
}

TEST_F(IndexThreadTest, TimesAreWrittenWhenSomebodyAsks) {
  IndexThread index(scratch_ / "index.db");
  RunRecord run;
  run.entry = "/main.py";
  run.imported = {"/a.py", "/app/./b.py"};
  run.imports_hash = 7;
  index.record_run(interpreter("/python"), run, 10);
  index.record_time("/python", {"/main.py", 7, 20});
  index.record_time("/python", {"/main.py", 7, 30});
  std::vector<EntryPoint> importers;
  asio::co_spawn(context_, index.known_file("/app/b.py"),
                 [&](std::exception_ptr, auto file) { importers = file.value().importers; });
  context_.run();
  EXPECT_EQ(importers, (std::vector<EntryPoint>{{"/main.py", "/python", "3.11.2", 30}}));
}

// A run that imports what does not compile, or that is not to write bytecode, has old bytecode beside it.
TEST_F(IndexThreadTest, ARunDoesNotMakeOldBytecodeFresh) {
  constexpr std::uint32_t kMagic = 0x0a0d0da7;
  InterpreterInfo python = interpreter("/python");
  python.magic = kMagic;
  RunRecord run;
  run.entry = "/main.py";
  const auto write = [&](const std::string& name, std::uint64_t compiled_size) {
    const std::string source = scratch_.write(name + ".py", "x = 1\n");
    while (!is_settled(stamp_of(source))) std::this_thread::yield();  // its bytecode is to be later by ctime
    const auto header = timestamp_header(kMagic, stamp_of(source).python_mtime_s(), compiled_size);
    const std::string pyc = "__pycache__/" + name + ".cpython-311.pyc";
    run.imported.push_back(scratch_.write(pyc, encode_pyc_header(header) + tiny_code()));
    return source;
  };
  write("good", 6);
  write("old", 5);
  FileResult error;
  error.source = write("error", 5);
  error.source_stamp = stamp_of(error.source);
  error.pyc = run.imported.back();
  error.outcome = FileOutcome::error;
  error.error = CompileError{"SyntaxError", "invalid syntax", 1, 5};
  IndexThread index(scratch_ / "index.db");
  index.record(python, 0, {error});
  index.record_run(python, run, 10);
  std::vector<std::string> listed;
  asio::co_spawn(context_, index.refresh(), [](std::exception_ptr, auto done) { EXPECT_TRUE(done); });
  asio::co_spawn(context_, index.list_part({}, {}, 100), [&](std::exception_ptr, auto entries) {
    for (const auto& entry : entries.value()) {
      const auto name = entry.source.substr(entry.source.rfind('/') + 1);
      listed.push_back(std::string(word(entry.state)) + " " + name);
    }
  });
  context_.run();
  EXPECT_EQ(listed, (std::vector<std::string>{"error error.py", "fresh good.py", "stale old.py"}));
}

TEST_F(IndexThreadTest, TimesAreWrittenBeforeItCloses) {
  const std::string path = scratch_ / "index.db";
  {
    IndexThread index(path);
    RunRecord run;
    run.entry = "-m app";
    run.imported = {"/a.py"};
    index.record_run(interpreter("/python"), run, 10);
    index.record_time("/python", {"-m app", 0, 20});
  }
  EXPECT_EQ(Index::open(path).value().importers("/a.py").value().front().last_run_ns, 20);
}

TEST_F(IndexThreadTest, OnlyModulesThatAreThereAreWorthAWatch) {
  IndexThread index(scratch_ / "index.db");
  RunRecord run;
  run.entry = "/main.py";
  run.imported = {scratch_.write("there.py", ""), scratch_ / "gone.py"};
  index.record_run(interpreter("/python"), run, 10);
  std::vector<std::string> modules;
  asio::co_spawn(context_, index.imported_modules(10),
                 [&](std::exception_ptr, auto found) { modules = found.value(); });
  context_.run();
  EXPECT_EQ(modules, std::vector{scratch_ / "there.py"});
}

TEST_F(IndexThreadTest, AnIndexThatCannotBeOpenedIsAnErrorOfEachCall) {
  IndexThread index(scratch_ / "missing/index.db");
  index.record(interpreter("/python"), 0, {});
  ask(index);
  ask(index);
  context_.run();
  ASSERT_EQ(answers_.size(), 2U);
  for (const auto& answer : answers_) EXPECT_EQ(answer.error().reason, Reason::system);
}

}  // namespace
}  // namespace kiln
