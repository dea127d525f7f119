#include "daemon/explanation.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include <thread>

#include "common/pyc.h"
#include "common/source_hash.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_code.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

constexpr std::uint32_t kMagic = 0x0a0d0da7;
constexpr std::int64_t kTime_s = 1'700'000'000;

class Explanation : public testing::Test {
 protected:
  Explanation() {
    write_source("x = 1\n");
    write_pyc(tiny_code());
    entry_.source = file_.source = source_;
    entry_.pyc = pyc_;
    entry_.executable = "/python";
    entry_.cache_tag = "cpython-311";
    entry_.magic = kMagic;
    entry_.state = EntryState::stale;  // which nobody should believe
    InterpreterInfo python;
    python.executable = "/python";
    python.version = "3.11.2";
    python.cache_tag = "cpython-311";
    file_.interpreters.push_back(python);
  }

  void write_source(const std::string& text, std::int64_t time_s = kTime_s) const {
    scratch_.write("a.py", text);
    const timespec times[2] = {{0, UTIME_OMIT}, {time_s, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, source_.c_str(), times, 0), 0);
  }

  void write_pyc(const std::string& body, std::uint32_t magic = kMagic) const {
    const FileStamp source = stamp_of(source_);
    while (!is_settled(source)) std::this_thread::yield();  // for the clock that files have their times from
    const auto header = timestamp_header(magic, source.python_mtime_s(), source.size);
    scratch_.write("__pycache__/a.cpython-311.pyc", encode_pyc_header(header) + body);
  }

  proto::ExplainReply explained() {
    file_.entries = {entry_};
    return explain(file_, "/overlay");
  }

  // "STATE WHY"
  std::string judged() {
    const auto reply = explained();
    if (reply.entries().empty()) return "";
    return reply.entries(0).state() + " " + reply.entries(0).why();
  }

  Scratch scratch_;
  const std::string source_ = scratch_ / "a.py";
  const std::string pyc_ = scratch_ / "__pycache__/a.cpython-311.pyc";
  IndexEntry entry_;
  KnownFile file_;
};

TEST_F(Explanation, TheFilesDecide) {
  EXPECT_EQ(judged(), "fresh ");
  write_source("x = 1\n", kTime_s + 10);
  EXPECT_EQ(judged(), "stale mtime");
  write_source("x = 1234\n");
  EXPECT_EQ(judged(), "stale size");
  write_source("x = 1\n");
  write_pyc("no code");
  EXPECT_EQ(judged(), "stale body");
  write_pyc(tiny_code(), kMagic + 1);
  EXPECT_EQ(judged(), "stale magic");
  scratch_.write("__pycache__/a.cpython-311.pyc", "short");
  EXPECT_EQ(judged(), "stale bad-header");
  fs::remove(pyc_);
  EXPECT_EQ(judged(), "stale missing");
  fs::remove(source_);
  EXPECT_EQ(judged(), "") << "both are gone";
}

TEST_F(Explanation, AHashIsCompared) {
  const auto hash = source_hash("x = 1\n", kMagic);
  ASSERT_TRUE(hash);
  PycHeader header{.magic = kMagic, .kind = PycKind::checked_hash};
  header.source_hash = *hash;
  scratch_.write("__pycache__/a.cpython-311.pyc", encode_pyc_header(header) + tiny_code());
  EXPECT_EQ(explained().entries(0).kind(), "checked-hash");
  EXPECT_EQ(judged(), "fresh ");
  write_source("x = 2\n");
  EXPECT_EQ(judged(), "stale hash");
  EXPECT_FALSE(explained().entries(0).taken());
}

TEST_F(Explanation, WhatPythonTakesThoughItIsOldIsTold) {
  PycHeader header{.magic = kMagic, .kind = PycKind::unchecked_hash};
  header.source_hash = 1;
  scratch_.write("__pycache__/a.cpython-311.pyc", encode_pyc_header(header) + tiny_code());
  EXPECT_EQ(judged(), "stale hash");
  EXPECT_TRUE(explained().entries(0).taken());
  entry_.error = CompileError{"SyntaxError", "invalid syntax", 1, 1};
  const FileStamp stamp = stamp_of(source_);
  entry_.source_mtime_ns = stamp.modified_ns;
  entry_.source_size = stamp.size;
  entry_.made.source_changed_ns = stamp.changed_ns;
  EXPECT_EQ(judged(), "error ");
  EXPECT_TRUE(explained().entries(0).taken());
  header.magic = kMagic + 1;
  scratch_.write("__pycache__/a.cpython-311.pyc", encode_pyc_header(header) + tiny_code());
  EXPECT_FALSE(explained().entries(0).taken()) << "of another version";
}

TEST_F(Explanation, WhatIsInTheWayIsTold) {
  EXPECT_EQ(explained().entries(0).in_the_way(), "");
  fs::remove(pyc_);
  EXPECT_EQ(explained().entries(0).in_the_way(), "");
  fs::create_directory(pyc_);
  EXPECT_EQ(explained().entries(0).in_the_way(), "a directory");
  fs::remove(pyc_);
  fs::create_symlink("nowhere", pyc_);
  EXPECT_EQ(explained().entries(0).in_the_way(), "a symbolic link");
  EXPECT_EQ(explained().entries(0).way(), pyc_);
}

TEST_F(Explanation, WhatIsInTheWayOfTheDirectoryIsTold) {
  const std::string directory = scratch_ / "__pycache__";
  fs::remove_all(directory);
  EXPECT_EQ(explained().entries(0).in_the_way(), "") << "it can be made";
  scratch_.write("__pycache__", "");
  EXPECT_EQ(explained().entries(0).in_the_way(), "a file");
  EXPECT_EQ(explained().entries(0).way(), directory);
  fs::remove(directory);
  fs::create_symlink("nowhere", directory);
  EXPECT_EQ(explained().entries(0).in_the_way(), "a symbolic link");
  EXPECT_EQ(explained().entries(0).way(), directory);
  fs::remove(directory);
  fs::create_directory(scratch_ / "elsewhere");
  fs::create_symlink("elsewhere", directory);
  EXPECT_EQ(explained().entries(0).in_the_way(), "") << "it leads to a directory";
}

TEST_F(Explanation, AnInterpreterThatIsGoneIsTold) {
  EXPECT_TRUE(explained().entries(0).interpreter_gone());
  entry_.executable = "/bin/sh";
  EXPECT_FALSE(explained().entries(0).interpreter_gone());
  entry_.executable.clear();
  EXPECT_FALSE(explained().entries(0).interpreter_gone()) << "Kiln has not met it";
}

TEST_F(Explanation, AnErrorHoldsUntilTheSourceChanges) {
  write_source("if x:\n\tx = = 1\nend\n", kTime_s + 5);
  entry_.error = CompileError{"SyntaxError", "invalid syntax", 2, 6};
  const FileStamp stamp = stamp_of(source_);
  entry_.source_mtime_ns = stamp.modified_ns;
  entry_.source_size = stamp.size;
  entry_.made.source_changed_ns = stamp.changed_ns;
  EXPECT_EQ(judged(), "error ");
  const auto error = explained().entries(0).error();
  EXPECT_EQ(error.text(), "\tx = = 1");
  EXPECT_EQ(error.line(), 2);
  EXPECT_EQ(error.column(), 6);
  write_source("x = 1\n", kTime_s + 6);
  EXPECT_EQ(judged(), "stale mtime");
  EXPECT_FALSE(explained().entries(0).has_error());
}

TEST_F(Explanation, ALineThatIsNotThereHasNoText) {
  write_source("\xef\xbb\xbfx = = 1");
  const FileStamp stamp = stamp_of(source_);
  entry_.source_mtime_ns = stamp.modified_ns;
  entry_.source_size = stamp.size;
  entry_.made.source_changed_ns = stamp.changed_ns;
  const auto text = [&](int line) {
    entry_.error = CompileError{"SyntaxError", "invalid syntax", line, 1};
    return explained().entries(0).error().text();
  };
  EXPECT_EQ(text(1), "x = = 1");
  EXPECT_EQ(text(2), "");
  EXPECT_EQ(text(0), "");
}

TEST_F(Explanation, BytecodeWithoutItsSourceIsAnOrphan) {
  fs::remove(source_);
  EXPECT_EQ(judged(), "orphan ");
  EXPECT_FALSE(explained().source_exists());
  EXPECT_FALSE(explained().entries(0).sourceless());
  entry_.pyc = scratch_.write("a.pyc", read_file(pyc_));
  EXPECT_TRUE(explained().entries(0).sourceless());
}

TEST_F(Explanation, AnInterpreterThatHasMovedOnIsTold) {
  EXPECT_EQ(explained().entries(0).version(), "3.11.2");
  EXPECT_FALSE(explained().entries(0).other_version());
  file_.interpreters[0].cache_tag = "cpython-312";
  EXPECT_TRUE(explained().entries(0).other_version());
}

TEST_F(Explanation, OnlyTheNewestImportersAreListed) {
  for (int i = 0; i < 30; ++i) {
    file_.importers.push_back({"/main" + std::to_string(i), "/python", "3.11.2", 5'000'000'000});
  }
  const auto reply = explained();
  EXPECT_EQ(reply.importers_count(), 30U);
  ASSERT_EQ(reply.importers_size(), 20);
  EXPECT_EQ(reply.importers(0).entry(), "/main0");
  EXPECT_EQ(reply.importers(0).last_run_s(), 5);
}

TEST_F(Explanation, AFileHasSeveralNames) {
  fs::create_directory(scratch_ / "real");
  scratch_.write("real/m.py", "");
  fs::create_directory_symlink(scratch_ / "real", scratch_ / "link");
  fs::create_symlink(scratch_ / "a.py", scratch_ / "real/alias.py");
  EXPECT_THAT(names_of(scratch_ / "link/m.py"), ElementsAre(scratch_ / "link/m.py", scratch_ / "real/m.py"));
  EXPECT_THAT(names_of(scratch_ / "link/alias.py"),
              ElementsAre(scratch_ / "link/alias.py", scratch_ / "real/alias.py", scratch_ / "a.py"));
  EXPECT_THAT(names_of(scratch_ / "link/gone.py"),
              ElementsAre(scratch_ / "link/gone.py", scratch_ / "real/gone.py"));
  EXPECT_THAT(names_of(scratch_ / "a.py"), ElementsAre(scratch_ / "a.py"));
}

}  // namespace
}  // namespace kiln
