// A precompilation of a watched tree is remembered for as long as nothing in it changes.
#include "daemon/precompile_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/unit/scratch.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

class PrecompileMemoryTest : public testing::Test {
 protected:
  PrecompileMemoryTest() {
    for (const char* name : {"tree/a.py", "tree/deep/er/b.py", "tree/__pycache__/a.cpython-311.pyc"}) {
      scratch_.write(name, "x = 1\n");
    }
    request_.add_targets()->set_path(scratch_ / "tree");
    watcher_.add_root(scratch_ / "tree");
    found_.set_fresh(2);
    interpreter_.binary = {"/usr/bin/python3.11", 1, 2, 3};
  }

  void settle() {
    Tick tick = 0;
    do {
      tick = watcher_.drain();
      EXPECT_TRUE(watcher_.wait_until_settled(std::chrono::minutes(1)));
    } while (watcher_.drain() != tick);
  }

  // As the service does: what was found is remembered, if it may be.
  void look() {
    settle();
    const Tick now = memory_.now();
    memory_.keep(request_, interpreters(), now, found_);
  }

  bool recalls() { return memory_.recall(request_, interpreters()).has_value(); }

  std::span<const InterpreterInfo> interpreters() const { return {&interpreter_, 1}; }

  Scratch scratch_;
  Watcher watcher_;
  PrecompileMemory memory_{&watcher_};
  proto::PrecompileRequest request_;
  proto::PrecompileEvent::Summary found_;
  InterpreterInfo interpreter_;
};

TEST_F(PrecompileMemoryTest, HoldsWhileNothingChanges) {
  EXPECT_FALSE(recalls());
  look();
  const auto recalled = memory_.recall(request_, interpreters());
  ASSERT_TRUE(recalled);
  EXPECT_EQ(recalled->fresh(), 2U);
  EXPECT_TRUE(recalls());
  request_.set_jobs(7);
  EXPECT_TRUE(recalls()) << "how fast does not matter";
}

TEST_F(PrecompileMemoryTest, AnyChangeInTheTreeEndsIt) {
  const std::vector<std::function<void()>> changes{
      [&] { scratch_.write("tree/a.py", "x = 2\n"); },
      [&] { scratch_.write("tree/deep/er/new.py", "x = 2\n"); },
      [&] { fs::remove(scratch_ / "tree/deep/er/new.py"); },
      [&] { fs::remove(scratch_ / "tree/__pycache__/a.cpython-311.pyc"); },
      [&] { fs::rename(scratch_ / "tree/deep", scratch_ / "tree/deeper"); },
      [&] { fs::permissions(scratch_ / "tree/a.py", fs::perms::owner_read); },
      [&] { scratch_.write("tree/new/package/c.py", "x = 2\n"); },
      [&] { fs::remove_all(scratch_ / "tree/deeper"); },
      [&] {
        fs::rename(scratch_ / "tree", scratch_ / "former");
        fs::copy(scratch_ / "former", scratch_ / "tree", fs::copy_options::recursive);
      },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    look();
    ASSERT_TRUE(recalls()) << i;
    changes[i]();
    EXPECT_FALSE(recalls()) << i;
  }
}

TEST_F(PrecompileMemoryTest, AnotherQuestionIsNotAnsweredByIt) {
  look();
  auto other = request_;
  other.add_optimize(1);
  EXPECT_FALSE(memory_.recall(other, interpreters()));
  auto upgraded = interpreter_;
  ++upgraded.binary.inode;
  EXPECT_FALSE(memory_.recall(request_, {&upgraded, 1}));
  EXPECT_TRUE(recalls());
}

TEST_F(PrecompileMemoryTest, WhatCannotBeProvedIsNotRemembered) {
  const auto expect_forgotten = [this](const char* why) {
    look();
    EXPECT_FALSE(recalls()) << why;
  };
  found_.set_errors(1);
  expect_forgotten("an error has to be told again");
  found_.set_errors(0);
  ASSERT_EQ(::symlink("a.py", (scratch_ / "tree/link.py").c_str()), 0);
  expect_forgotten("a symlink");
  fs::remove(scratch_ / "tree/link.py");
  ASSERT_EQ(::link((scratch_ / "tree/a.py").c_str(), (scratch_ / "elsewhere.py").c_str()), 0);
  scratch_.write("tree/note", "");  // link(2) is heard by nobody; any look at the directory sees it
  watcher_.remove_root(scratch_ / "tree");
  watcher_.add_root(scratch_ / "tree");
  expect_forgotten("a file with two links");
  fs::remove(scratch_ / "elsewhere.py");
  watcher_.remove_root(scratch_ / "tree");
  watcher_.add_root(scratch_ / "tree", {"deep"});
  expect_forgotten("something is not watched");
  watcher_.remove_root(scratch_ / "tree");
  watcher_.add_root(scratch_ / "tree");
  look();
  EXPECT_TRUE(recalls());
}

}  // namespace
}  // namespace kiln
