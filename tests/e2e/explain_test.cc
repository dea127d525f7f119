// `kiln explain`, and the dependency record that it tells of: a project, run as a user would.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/e2e/harness.h"
#include "tests/e2e/unwritable_tree.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

class Explain : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove(home_dir() + "/kiln.toml");  // which says that nothing is watched by itself
    kiln({"daemon", "restart"});
    reset_work_dir();
    fs::create_directories(tree() + "/app");
    write_file(module(), "VALUE = 1\n");
    write_file(tree() + "/app/__init__.py", "");
    write_file(tree() + "/app/__main__.py", "import shared\nprint(shared.VALUE)\n");
    write_file(script(), "import shared\nprint(shared.VALUE)\n");
  }
  void TearDown() override { kiln({"daemon", "stop"}); }

  // One for each test: what is recorded of another's is not forgotten.
  static std::string name() { return testing::UnitTest::GetInstance()->current_test_info()->name(); }
  static std::string tree() { return work_dir() + "/" + name(); }
  static std::string module() { return tree() + "/shared.py"; }
  static std::string script() { return tree() + "/manage.py"; }
  static std::string pyc() {
    return tree() + "/__pycache__/shared.cpython-3" + std::to_string(any_python().minor) + ".pyc";
  }

  static Outcome explain(const std::string& file) { return kiln({"explain", file}); }

  static bool await_text(const std::string& file, const std::string& text) {
    return await([&] { return explain(file).out.find(text) != std::string::npos; });
  }

  static void run_script() {
    ASSERT_TRUE(run_until_bare(any_python(), {script()}, environment_with({})).is_served());
  }

  static void precompile() {
    const Outcome outcome = kiln({"precompile", "--python", any_python().path, tree()});
    ASSERT_EQ(describe_status(outcome.status), "exit 0") << outcome.err;
  }
};

TEST_F(Explain, NamesTheProgramsThatImportAModule) {
  run_script();
  const std::string by_script = name() + "/manage.py (python3." + std::to_string(any_python().minor) + ", ";
  ASSERT_TRUE(await_text(module(), by_script)) << explain(module()).out << explain(module()).err;
  const auto in_tree = environment_with({"PYTHONPATH=" + tree()});
  ASSERT_TRUE(run_until_bare(any_python(), {"-m", "app"}, in_tree).is_served());
  ASSERT_TRUE(await_text(module(), "-m app (python3.")) << explain(module()).out;
  const Outcome outcome = explain(module());
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr(module() + ": fresh for " + any_python().path + " (Python 3."),
                    HasSubstr("Its bytecode, " + pyc() + ", has the time and size of the source"),
                    HasSubstr(by_script), HasSubstr("-m app (python3."),
                    HasSubstr("Watched: " + tree() + ", for what was imported")));
  EXPECT_EQ(kiln({"explain", pyc()}).out.substr(0, 60), outcome.out.substr(0, 60));
  EXPECT_THAT(explain(script()).out, HasSubstr("Run as a program: python3."));
}

TEST_F(Explain, WhatKilnHasNotMetIsSaidOfWhatPythonHasMade) {
  const Outcome before = explain(module());
  EXPECT_EQ(describe_status(before.status), "exit 0") << before.err;
  EXPECT_THAT(before.out, HasSubstr("Kiln knows of no bytecode of it.\n  The next import compiles it"));
  const std::string import = "import sys; sys.path.insert(0, '" + tree() + "'); import shared";
  run({.argv = {any_python().path, "-c", import}});
  const Outcome after = explain(module());
  EXPECT_THAT(after.out, HasSubstr(module() + ": fresh for cpython-3"));
  EXPECT_THAT(after.out, HasSubstr("Its bytecode, " + pyc() + ", has the time and size of the source"));
  write_file(module(), "VALUE = 'longer than it was'\n");
  EXPECT_THAT(explain(module()).out, HasSubstr(module() + ": stale for cpython-3"));
  EXPECT_THAT(kiln({"explain", "--json", module()}).out, HasSubstr("\"python\":\"\""));
}

TEST_F(Explain, TheRecordAndItsWatchesHoldOverRestarts) {
  run_script();
  ASSERT_TRUE(await_text(module(), "manage.py (python3."));
  kiln({"daemon", "restart"});
  EXPECT_THAT(explain(module()).out, HasSubstr("manage.py (python3."));
  EXPECT_TRUE(await_text(module(), "Watched: " + tree() + ", for what was imported"));
}

// Without watching: what is told is how the files are when somebody asks.
TEST_F(Explain, FollowsAnEditAnErrorAFixAndTheEnd) {
  precompile();
  EXPECT_THAT(explain(module()).out, HasSubstr(module() + ": fresh for "));
  write_file(module(), "VALUE = 22\n");
  EXPECT_THAT(explain(module()).out,
              AllOf(HasSubstr(module() + ": stale for "), HasSubstr("kiln precompile " + module())));
  write_file(module(), "VALUE = 22\nVALUE = = 3\n");
  EXPECT_EQ(describe_status(kiln({"precompile", "--python", any_python().path, tree()}).status), "exit 1");
  EXPECT_THAT(explain(module()).out, AllOf(HasSubstr(module() + ": error for "),
                                           HasSubstr("  Line 2: SyntaxError: invalid syntax\n"),
                                           HasSubstr("    VALUE = = 3\n            ^\n")));
  write_file(module(), "VALUE = 4444\n");
  EXPECT_THAT(explain(module()).out, HasSubstr(module() + ": stale for "));
  precompile();
  EXPECT_THAT(explain(module()).out, HasSubstr(module() + ": fresh for "));
  fs::remove(module());
  EXPECT_THAT(explain(module()).out, AllOf(HasSubstr(module() + ": orphan for "), HasSubstr(pyc())));
  fs::remove(pyc());
  EXPECT_THAT(explain(module()).out, Not(HasSubstr("orphan")));
}

TEST_F(Explain, AProgramThatFailsToImportLeavesTheErrorAsItIs) {
  run_script();
  ASSERT_TRUE(await_text(module(), "manage.py (python3."));
  write_file(module(), "VALUE = = 3\n");
  ASSERT_TRUE(await_text(module(), module() + ": error for "));
  EXPECT_TRUE(run_until_bare(any_python(), {script()}, environment_with({})).is_served());
  write_file(tree() + "/later.py", "");
  write_file(script(), "import later\nimport shared\n");
  EXPECT_TRUE(run_until_bare(any_python(), {script()}, environment_with({})).is_served());
  ASSERT_TRUE(await_text(tree() + "/later.py", "manage.py (python3."));  // it was recorded
  EXPECT_THAT(explain(module()).out, HasSubstr(module() + ": error for "));
}

TEST_F(Explain, ADeletedSourceLeavesAnOrphanThatIsListed) {
  precompile();
  kiln({"watch", tree()});
  EXPECT_TRUE(await_text(module(), "Watched: below " + tree() + "; a change is compiled by itself"));
  EXPECT_EQ(kiln({"list", "--state", "orphan", tree()}).out, "");
  fs::remove(module());
  EXPECT_THAT(kiln({"list", "--state", "orphan", tree()}).out, HasSubstr("orphan  " + module()));
  EXPECT_TRUE(fs::exists(pyc()));
  kiln({"unwatch", tree()});
}

TEST_F(Explain, ASourceThatWasImportedLeavesAnOrphanToo) {
  run_script();
  ASSERT_TRUE(await_text(module(), "manage.py (python3."));
  fs::remove(module());
  EXPECT_THAT(kiln({"list", "--state", "orphan", tree()}).out, HasSubstr("orphan  " + module()));
  EXPECT_THAT(explain(module()).out,
              AllOf(HasSubstr(module() + ": orphan for "), HasSubstr("manage.py (python3.")));
}

// What a run gets from the overlay it has imported as well.
TEST_F(Explain, ModulesOfAnUnwritableTreeAreRecorded) {
  UnwritableTree unwritable;
  if (!unwritable.works()) GTEST_SKIP() << "no tree can be made that this user cannot write";
  kiln({"daemon", "restart"});  // which sees it, too
  for (const char* program : {"first.py", "second.py"}) unwritable.write(program, "import util\n");
  unwritable.write("util.py", "VALUE = 1\n");
  ASSERT_TRUE(run_until_bare(any_python(), {unwritable / "first.py"}, environment_with({})).is_served());
  ASSERT_TRUE(await_text(unwritable / "util.py", "It lies in Kiln's overlay"));
  ASSERT_TRUE(run_until_bare(any_python(), {unwritable / "second.py"}, environment_with({})).is_served());
  EXPECT_TRUE(await_text(unwritable / "util.py", "second.py (python3."));
}

// Of other bytecode of the same source nothing is said as if it were that.
TEST_F(Explain, BytecodeThatIsNotThereIsSaidToBe) {
  precompile();
  const std::string other = tree() + "/__pycache__/shared.cpython-2.pyc";
  EXPECT_THAT(explain(other).out,
              AllOf(HasSubstr(other + ": there is no such file."), HasSubstr(module() + ": fresh for ")));
  EXPECT_THAT(explain(pyc()).out, Not(HasSubstr("there is no such file")));
  fs::copy(pyc(), other);
  EXPECT_THAT(explain(other).out, AllOf(HasSubstr("for cpython-2\n"), HasSubstr("Kiln has not met it"),
                                        Not(HasSubstr("there is no such file"))));
}

TEST_F(Explain, OldBytecodeThatIsTakenForASourceThatDoesNotCompileIsTold) {
  kiln({"precompile", "--python", any_python().path, "--invalidation-mode", "unchecked-hash", tree()});
  write_file(module(), "VALUE = = 3\n");
  kiln({"precompile", "--python", any_python().path, tree()});
  EXPECT_THAT(explain(module()).out,
              AllOf(HasSubstr(module() + ": error for "), HasSubstr("and runs old code")));
}

TEST_F(Explain, ADirectoryInThePlaceOfBytecodeIsTold) {
  fs::create_directories(pyc());
  const std::string hint = "mv " + pyc() + " " + pyc() + ".aside\n";
  EXPECT_THAT(explain(module()).out, HasSubstr("What takes that away: " + hint)) << "not met";
  const Outcome outcome = kiln({"precompile", "--python", any_python().path, module()});
  EXPECT_THAT(outcome.err, HasSubstr("hint: " + hint));
  EXPECT_THAT(explain(module()).out, HasSubstr("What takes that away: " + hint));
}

TEST_F(Explain, WhatLeavesAFileOutOfARootIsTold) {
  precompile();
  write_file(home_dir() + "/kiln.toml", "watch.ignore = [\"sha*.py\"]\n");
  kiln({"watch", tree()});
  EXPECT_THAT(explain(module()).out, HasSubstr("Watched: no: watch.ignore of " + tree() + " has sha*.py.\n"));
  kiln({"unwatch", tree()});
  fs::remove(home_dir() + "/kiln.toml");
}

TEST_F(Explain, AnInterpreterThatIsGoneIsTold) {
  const std::string gone = work_dir() + "/venv/bin/python";
  run({.argv = {any_python().path, "-m", "venv", "--without-pip", work_dir() + "/venv"}});
  kiln({"precompile", "--python", gone, tree()});
  EXPECT_THAT(explain(module()).out, Not(HasSubstr("is gone")));
  EXPECT_THAT(kiln({"status"}).out, Not(ContainsRegex(gone + "  [^\n]*, gone\n")));
  fs::rename(work_dir() + "/venv", work_dir() + "/moved");
  EXPECT_THAT(explain(module()).out, HasSubstr("  " + gone + " is gone: "));
  EXPECT_THAT(kiln({"status"}).out, ContainsRegex(gone + "  [^\n]*, gone\n"));
  EXPECT_THAT(kiln({"status", "--json"}).out, HasSubstr("\"gone\":true"));
  fs::create_directory(work_dir() + "/empty");
  const Outcome listed = kiln({"list", "--python", gone, work_dir() + "/empty"});
  EXPECT_THAT(listed.err, HasSubstr("Kiln knows nothing there that " + gone + " has compiled"));
  EXPECT_EQ(describe_status(listed.status), "exit 0") << "it has compiled something elsewhere";
}

TEST_F(Explain, ADirectoryOfASourcesNameIsNone) {
  fs::create_directory(work_dir() + "/d.py");
  const Outcome outcome = explain(work_dir() + "/d.py");
  EXPECT_THAT(outcome.err, HasSubstr("/d.py is a directory\n\nhint: kiln list "));
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
}

TEST_F(Explain, AFileIsFoundByASymlink) {
  precompile();
  fs::create_directory_symlink(tree(), work_dir() + "/link");
  EXPECT_THAT(explain(work_dir() + "/link/shared.py").out, HasSubstr(module() + ": fresh for "));
}

TEST_F(Explain, JsonIsOneDocument) {
  precompile();
  const Outcome outcome = kiln({"explain", "--json", module()});
  const Outcome seen = run({.argv = {any_python().path, "-c",
                                     "import json, sys\nd = json.load(sys.stdin)\n"
                                     "print(d['version'], d['exists'], [e['state'] for e in d['entries']],"
                                     " d['imported_by'], d['watched']['how'])"},
                            .in = Stream::file,
                            .input = outcome.out});
  EXPECT_EQ(seen.out, "1 True ['fresh'] [] no\n") << seen.err << outcome.out << outcome.err;
}

TEST_F(Explain, OfNestedRootsTheInnermostIsNamed) {
  precompile();
  kiln({"watch", work_dir()});
  kiln({"watch", tree()});
  EXPECT_TRUE(await_text(module(), "Watched: below " + tree())) << explain(module()).out;
  kiln({"unwatch", tree(), work_dir()});
}

// Asked of the very child that would run it; which then runs nothing, and is counted as no run.
TEST_F(Explain, ARunIsExplainedByWhoWouldServeIt) {
  const std::string script = work_dir() + "/script.py";
  const std::string trace = work_dir() + "/trace";
  const std::vector<std::string> question{"explain", "run", "--python", any_python().path, script};
  const std::string good = "open('" + trace + "', 'w')\n";
  write_file(script, "pass\n");
  ASSERT_TRUE(run_until_bare(any_python(), {script}, environment_with({})).is_served());
  const std::string counted = kiln({"stats", "--json"}).out;
  for (const auto& [source, answer] : std::vector<std::pair<std::string, std::string>>{
           {good, "Bare: "},
           {"return\n", "(compile-error: 'return' outside function"},
           {"assert (1, 2)\n", "(compile-warning: "},
           {"# -*- coding: latin-1 -*-\n", "(source-encoding: "}}) {
    write_file(script, source);
    EXPECT_THAT(kiln(question).out, HasSubstr(answer));
  }
  EXPECT_FALSE(fs::exists(trace));
  EXPECT_EQ(kiln({"stats", "--json"}).out, counted);
  write_file(script, good);
  EXPECT_TRUE(run_until_bare(any_python(), {script}, environment_with({})).is_served());
  EXPECT_TRUE(fs::exists(trace));
}

TEST_F(Explain, OfAScriptThatDoesNotCompileWarmSaysTheSame) {
  const std::string script = work_dir() + "/script.py";
  write_file(script, "pass\n");
  ASSERT_TRUE(run_until_bare(any_python(), {script}, environment_with({})).is_served());
  write_file(script, "return\n");
  const Outcome outcome = kiln({"warm", "--python", any_python().path, script});
  EXPECT_THAT(outcome.out, HasSubstr("(compile-error: 'return' outside function"));
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_EQ(kiln({"explain", "run", "--python", any_python().path, script}).out, outcome.out);
}

TEST_F(Explain, MistakesAreTold) {
  Outcome outcome = kiln({"explain"});
  EXPECT_EQ(describe_status(outcome.status), "exit 2");
  EXPECT_THAT(outcome.err, MatchesRegex("error: [^\n]+\n\nhint: kiln explain --help\n"));
  outcome = explain(tree() + "/no.py");
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_THAT(outcome.err, HasSubstr("there is no such file"));
  outcome = explain(tree());
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_THAT(outcome.err, HasSubstr("is a directory\n\nhint: kiln list "));
  outcome = kiln({"explain", "run"});
  EXPECT_EQ(describe_status(outcome.status), "exit 2");
  EXPECT_THAT(outcome.err, HasSubstr("\n\nhint: kiln explain run --help"));
  outcome = kiln({"explain", "run", "--python"});
  EXPECT_EQ(describe_status(outcome.status), "exit 2");
}

}  // namespace
}  // namespace kiln::e2e
