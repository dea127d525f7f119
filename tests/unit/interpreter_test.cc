#include "daemon/interpreter.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/pythons.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

// A script that stands where an interpreter is expected.
std::string fake_interpreter(const Scratch& scratch, const std::string& script) {
  const auto path = scratch.write("python", "#!/bin/sh\n" + script + "\n");
  ::chmod(path.c_str(), 0755);
  return path;
}

// A virtual environment, made by hand: the venv module is a package of its own on Debian. Returns its python.
std::string virtual_environment(const std::string& dir) {
  std::filesystem::create_directories(dir + "/bin");
  std::filesystem::create_symlink("/usr/bin/python3", dir + "/bin/python");
  std::ofstream(dir + "/pyvenv.cfg") << "home = /usr/bin\n";
  return dir + "/bin/python";
}

TEST(Interpreter, TheSystemsIsKnown) {
  const auto& info = system_python();
  EXPECT_EQ(info.path, "/usr/bin/python3");
  EXPECT_EQ(info.executable, "/usr/bin/python3");
  EXPECT_EQ(info.implementation, "cpython");
  EXPECT_EQ(info.major, 3);
  EXPECT_EQ(info.cache_tag, "cpython-3" + std::to_string(info.minor));
  EXPECT_EQ(info.magic >> 16, 0x0a0dU);
  EXPECT_EQ(info.binary, *identify_binary("/usr/bin/python3"));
  EXPECT_EQ(info.version.rfind("3." + std::to_string(info.minor) + ".", 0), 0U);
}

TEST(Interpreter, AVirtualEnvironmentKeepsItsOwnExecutable) {
  const Scratch scratch;
  const auto python = virtual_environment(scratch / "venv");
  const auto info = probe_interpreter(python);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->executable, python);
  EXPECT_EQ(info->binary, system_python().binary);
}

TEST(Interpreter, AManagersScriptIsSeenThrough) {
  const Scratch scratch;
  const auto info = probe_interpreter(fake_interpreter(scratch, "exec /usr/bin/python3 \"$@\""));
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->path, scratch / "python");
  EXPECT_EQ(info->executable, "/usr/bin/python3");
}

TEST(Interpreter, APathNeedNotBeText) {
  const Scratch scratch;
  const auto python = virtual_environment(scratch / "\xff\xc3\xa9");
  const auto info = probe_interpreter(python);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->executable, python);
}

TEST(Interpreter, WhatIsNoneIsRefused) {
  const Scratch scratch;
  EXPECT_EQ(probe_interpreter("/nonexistent/python").error().reason, Reason::not_found);
  EXPECT_EQ(probe_interpreter("/bin/true").error().reason, Reason::interpreter);
  EXPECT_EQ(probe_interpreter("/bin/false").error().reason, Reason::interpreter);
  EXPECT_EQ(probe_interpreter(fake_interpreter(scratch, "echo '{\"version\": 3}'")).error().reason,
            Reason::interpreter);
}

TEST(Interpreter, OneThatHangsOrTalksForEverIsLeft) {
  const Scratch scratch;
  EXPECT_EQ(probe_interpreter(fake_interpreter(scratch, "sleep 1000"), 1).error().reason, Reason::timeout);
  EXPECT_EQ(probe_interpreter(fake_interpreter(scratch, "exec yes")).error().reason, Reason::interpreter);
}

TEST(Interpreter, AReplacedBinaryHasAnotherIdentity) {
  const Scratch scratch;
  const auto path = fake_interpreter(scratch, "true");
  const auto before = identify_binary(path);
  ASSERT_TRUE(shell("cp -p " + path + " " + path + ".new && mv " + path + ".new " + path));
  ASSERT_TRUE(before);
  EXPECT_NE(*before, *identify_binary(path));
  EXPECT_FALSE(identify_binary(scratch / "nothing"));
}

// Old ones are told apart, too, though nothing is compiled for them yet.
TEST(Probe, RunsOnEveryVersion) {
  for (const auto& info : all_pythons()) EXPECT_NE(info.magic, 0U) << info.path;
  const char* home = std::getenv("HOME");
  const auto old =
      probe_interpreter(std::string(home != nullptr ? home : "") + "/.pyenv/versions/2.7.18/bin/python2.7");
  if (!old) GTEST_SKIP() << "no Python 2.7 here";
  EXPECT_EQ(old->version, "2.7.18");
  EXPECT_EQ(old->magic, 0x0a0d0000U | 62211);
  EXPECT_EQ(old->cache_tag, "");
}

}  // namespace
}  // namespace kiln
