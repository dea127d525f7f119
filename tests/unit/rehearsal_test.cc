#include "common/rehearsal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "common/unique_fd.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

using Kind = ProgramInput::Kind;

TEST(Rehearsal, AReportComesThrough) {
  RehearsalReport report;
  report.pid = 7;
  report.entry = "/src/main.py";
  report.step = "reads the clock";
  report.places = {"/lib/logging.py:3", "/src/main.py:1"};
  report.has_read_arguments = true;
  report.variables = {"LANG", "PATH"};
  report.modules = 40;
  report.inputs = {{Kind::content, "/src/main.py", {1, 2, 3, 4, 5}, 0},
                   {Kind::names, "/src", {1, 9, 0, 4, 5}, 77}};
  const auto read = decode_rehearsal_report(encode_rehearsal_report(report));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->places, report.places);
  EXPECT_EQ(read->variables, report.variables);
  EXPECT_EQ(read->inputs, report.inputs);
  EXPECT_TRUE(read->has_read_arguments);
  EXPECT_FALSE(read->has_read_cwd);
}

TEST(Rehearsal, DamageIsRefused) {
  RehearsalReport report;
  report.inputs = {{Kind::content, "/src/main.py", {1, 2, 3, 4, 5}, 0}};
  const std::string message = encode_rehearsal_report(report);
  for (std::size_t size = 0; size < message.size(); ++size)
    EXPECT_FALSE(decode_rehearsal_report(message.substr(0, size))) << size;
  EXPECT_FALSE(decode_rehearsal_report(message + "x"));
}

class LookAgain : public testing::Test {
 protected:
  ProgramInput look(Kind kind, const std::string& name) {
    ProgramInput input = look_again({kind, scratch_.path() + "/" + name, {}, 0});
    if (kind != Kind::names && kind != Kind::importable_names) return input;
    const UniqueFd fd{::open(input.path.c_str(), O_RDONLY | O_DIRECTORY)};
    input.names_hash = hash_of_names(fd.get(), kind == Kind::importable_names);
    return input;
  }
  bool holds(const ProgramInput& input) {
    const ProgramInput now = look_again(input);
    return input.names_hash != 0 ? now.names_hash == input.names_hash : now == input;
  }
  Scratch scratch_;
};

TEST_F(LookAgain, ContentIsAllThatStatSays) {
  scratch_.write("a.py", "1");
  const auto content = look(Kind::content, "a.py");
  const auto identity = look(Kind::identity, "a.py");
  EXPECT_TRUE(holds(content));
  scratch_.write("a.py", "22");
  EXPECT_FALSE(holds(content));
  EXPECT_TRUE(holds(identity)) << "it is still that file";
  std::filesystem::remove(scratch_.path() + "/a.py");
  EXPECT_FALSE(holds(identity));
}

TEST_F(LookAgain, WhatWasNotThereMustNotAppear) {
  const auto absent = look(Kind::identity, "b.py");
  EXPECT_TRUE(holds(absent));
  scratch_.write("b.py", "1");
  EXPECT_FALSE(holds(absent));
}

TEST_F(LookAgain, ALinkIsItself) {
  scratch_.write("one", "1");
  std::filesystem::create_symlink("one", scratch_.path() + "/link");
  const auto link = look(Kind::link_identity, "link");
  EXPECT_TRUE(holds(link));
  scratch_.write("two", "1");
  std::filesystem::create_symlink("two", scratch_.path() + "/other");
  std::filesystem::rename(scratch_.path() + "/other", scratch_.path() + "/link");
  EXPECT_FALSE(holds(link));
}

TEST_F(LookAgain, NamesThatNoImportMeansDoNotMatterToImports) {
  std::filesystem::create_directory(scratch_.path() + "/d");
  scratch_.write("d/a.py", "");
  const auto all = look(Kind::names, "d");
  const auto importable = look(Kind::importable_names, "d");
  scratch_.write("d/notes.txt", "");
  std::filesystem::create_directory(scratch_.path() + "/d/__pycache__");
  EXPECT_FALSE(holds(all));
  EXPECT_TRUE(holds(importable));
  std::filesystem::create_directory(scratch_.path() + "/d/package");
  EXPECT_FALSE(holds(importable));
}

// tmpfs lists what came last first: os.listdir() shows it, an import does not.
TEST(Rehearsal, ADirectoryIsKnownByTheOrderOfItsNames) {
  const std::string path = "/dev/shm/kiln-test-" + std::to_string(::getpid());
  std::filesystem::create_directory(path);
  for (const char* name : {"a.py", "b.py"}) const UniqueFd made{::creat((path + "/" + name).c_str(), 0600)};
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  const std::uint64_t importable = hash_of_names(fd.get(), true);
  const std::uint64_t names = hash_of_names(fd.get(), false);
  EXPECT_EQ(hash_of_names(fd.get(), false), names);
  std::filesystem::rename(path + "/a.py", path + "/c");
  std::filesystem::rename(path + "/c", path + "/a.py");
  EXPECT_EQ(hash_of_names(fd.get(), true), importable);
  EXPECT_NE(hash_of_names(fd.get(), false), names);
  std::filesystem::remove_all(path);
}

}  // namespace
}  // namespace kiln
