#include "client/python_command.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

PythonCommand parse(std::vector<std::string> words) {
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  return parse_python_command(pointers);
}

using Words = std::vector<std::string>;

TEST(PythonCommand, ScriptWithArguments) {
  const auto command = parse({"-B", "x.py", "-O", "--", "a"});
  EXPECT_FALSE(command.unserved);
  EXPECT_EQ(command.kind, TargetKind::file);
  EXPECT_EQ(command.target, "x.py");
  EXPECT_EQ(command.options, Words{"-B"});
  EXPECT_EQ(command.arguments, (Words{"-O", "--", "a"}));
}

TEST(PythonCommand, ClusteredAndAttachedOptions) {
  const auto command = parse({"-bBus", "-Werror", "-X", "utf8=1", "-c", "print(1)", "-m", "x"});
  EXPECT_FALSE(command.unserved);
  EXPECT_EQ(command.options, (Words{"-b", "-B", "-u", "-s", "-W", "error", "-X", "utf8=1"}));
  EXPECT_EQ(command.kind, TargetKind::command);
  EXPECT_EQ(command.target, "print(1)");
  EXPECT_EQ(command.arguments, (Words{"-m", "x"}));
  EXPECT_EQ(parse({"-Bcpass"}).target, "pass");
  EXPECT_EQ(parse({"-mjson.tool", "-"}).target, "json.tool");
}

TEST(PythonCommand, DoubleDashEndsOptions) {
  const auto command = parse({"-O", "--", "-x.py", "a"});
  EXPECT_EQ(command.target, "-x.py");
  EXPECT_EQ(command.arguments, Words{"a"});
}

TEST(PythonCommand, WhatOnlyPythonCanDo) {
  EXPECT_EQ(parse({}).unserved, Reason::no_target);
  EXPECT_EQ(parse({"-"}).unserved, Reason::no_target);
  EXPECT_EQ(parse({"-O"}).unserved, Reason::no_target);
  EXPECT_EQ(parse({"-i", "x.py"}).unserved, Reason::option);
  EXPECT_EQ(parse({"-V"}).unserved, Reason::option);
  EXPECT_EQ(parse({"--version"}).unserved, Reason::option);
  EXPECT_EQ(parse({"-X", "importtime", "x.py"}).unserved, Reason::option);
  EXPECT_EQ(parse({"-X", "utf8mode", "x.py"}).unserved, Reason::option);
  EXPECT_EQ(parse({"-c"}).unserved, Reason::usage);
  EXPECT_EQ(parse({"-W"}).unserved, Reason::usage);
  EXPECT_EQ(parse({""}).unserved, Reason::usage);
  EXPECT_EQ(parse({"-\xff", "x.py"}).unserved, Reason::option);
}

TEST(PythonCommand, LongOptionsThatPythonDoesNotHave) {
  EXPECT_EQ(parse({"-B", "--jsn", "x.py"}).foreign_option, "--jsn");
  EXPECT_EQ(parse({"--json=1", "x.py"}).foreign_option, "--json=1");
  EXPECT_EQ(parse({"--version"}).foreign_option, "");
  EXPECT_EQ(parse({"--check-hash-based-pycs"}).foreign_option, "");
  EXPECT_EQ(parse({"x.py", "--json"}).foreign_option, "");
  EXPECT_EQ(parse({"--", "--json"}).foreign_option, "");
}

TEST(PythonCommand, CheckHashBasedPycs) {
  const auto command = parse({"--check-hash-based-pycs", "never", "x.py"});
  EXPECT_FALSE(command.unserved);
  EXPECT_EQ(command.options, (Words{"--check-hash-based-pycs", "never"}));
  EXPECT_EQ(parse({"--check-hash-based-pycs"}).unserved, Reason::option);
}

}  // namespace
}  // namespace kiln
