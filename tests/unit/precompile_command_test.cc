#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "client/command.h"
#include "client/precompile.h"
#include "client/precompile_hints.h"
#include "client/precompile_report.h"
#include "client/progress.h"

namespace kiln {
namespace {

using testing::ElementsAre;

std::variant<PrecompileArguments, int> parse(std::vector<std::string> arguments) {
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  return parse_precompile_arguments(pointers);
}

TEST(PrecompileArguments, AreRead) {
  const auto parsed = parse({"-j", "4", "--python", "py", "src", "-o2", "--force", "-q", "--", "-odd.py"});
  const auto& wanted = std::get<PrecompileArguments>(parsed);
  EXPECT_EQ(wanted.jobs, 4U);
  EXPECT_THAT(wanted.pythons, ElementsAre("py"));
  EXPECT_THAT(wanted.levels, ElementsAre(2));
  EXPECT_TRUE(wanted.force && wanted.quiet);
  EXPECT_THAT(wanted.paths, ElementsAre("src", "-odd.py"));
}

TEST(PrecompileArguments, WrongUsageIsTwo) {
  EXPECT_EQ(std::get<int>(parse({})), kExitUsage);
  EXPECT_EQ(std::get<int>(parse({"-o", "3", "src"})), kExitUsage);
  EXPECT_EQ(std::get<int>(parse({"-j", "-1", "src"})), kExitUsage);
  EXPECT_EQ(std::get<int>(parse({"--nonsense", "src"})), kExitUsage);
  EXPECT_EQ(std::get<int>(parse({"src", ""})), kExitUsage);
  EXPECT_EQ(std::get<int>(parse({"--help"})), kExitDone);
}

TEST(PrecompileArguments, AreReadMoreThanOnce) {
  const auto parsed =
      parse({"-o", "1", "src", "-o", "2", "--python", "a", "--python", "b", "--exclude", "x*"});
  const auto& wanted = std::get<PrecompileArguments>(parsed);
  EXPECT_THAT(wanted.pythons, ElementsAre("a", "b"));
  EXPECT_THAT(wanted.levels, ElementsAre(1, 2));
  EXPECT_THAT(wanted.paths, ElementsAre("src"));
  EXPECT_EQ(std::get<int>(parse({"--legacy", "-o0", "-o1", "src"})), kExitUsage);
  EXPECT_EQ(std::get<int>(parse({"--check", "--force", "src"})), kExitUsage);
  EXPECT_EQ(std::get<int>(parse({"--invalidation-mode", "often", "src"})), kExitUsage);
}

TEST(PrecompileArguments, TheUsualLevelIsThatOfPython) {
  EXPECT_EQ(usual_level(nullptr), 0);
  EXPECT_EQ(usual_level(""), 0);
  EXPECT_EQ(usual_level("0"), 0);
  EXPECT_EQ(usual_level("1"), 1);
  EXPECT_EQ(usual_level("2"), 2);
  EXPECT_EQ(usual_level("3"), 2);
  EXPECT_EQ(usual_level("x"), 1);
  EXPECT_EQ(usual_level("-2"), 1);
}

TEST(PrecompileArguments, AListIsReadInItsPlace) {
  std::istringstream list("b.py\n\nc d.py\n");
  EXPECT_THAT(with_listed_paths({"a.py", "-", "e.py"}, list), ElementsAre("a.py", "b.py", "c d.py", "e.py"));
}

TEST(PrecompileArguments, TheEpochOfABuildAsksForHashes) {
  EXPECT_EQ(wanted_invalidation({}, nullptr), proto::PrecompileRequest::KEEP);
  EXPECT_EQ(wanted_invalidation({}, ""), proto::PrecompileRequest::KEEP);
  EXPECT_EQ(wanted_invalidation({}, "0"), proto::PrecompileRequest::CHECKED_HASH);
  EXPECT_EQ(wanted_invalidation("timestamp", "0"), proto::PrecompileRequest::TIMESTAMP);
}

TEST(PrecompileOutput, AnErrorHasItsPlace) {
  proto::PrecompileEvent::Error error;
  error.set_path("src/a.py");
  error.set_type("SyntaxError");
  error.set_message("invalid syntax");
  EXPECT_EQ(error_line(error), "src/a.py: SyntaxError: invalid syntax");
  error.set_line(3);
  EXPECT_EQ(error_line(error), "src/a.py:3: SyntaxError: invalid syntax");
  error.set_column(7);
  EXPECT_EQ(error_line(error), "src/a.py:3:7: SyntaxError: invalid syntax");
}

TEST(PrecompileHints, AreOneForEachKindOfTrouble) {
  PrecompileHints hints;
  const auto add = [&hints](const std::string& path, const std::string& type, const std::string& message) {
    proto::PrecompileEvent::Error error;
    error.set_path(path);
    error.set_pyc(path + "c");
    error.set_type(type);
    error.set_message(message);
    hints.add(error);
  };
  EXPECT_EQ(hints.text(), "");
  add("a.py", "SyntaxError", "No such file or directory");
  add("a.py", "OSError", "of no known kind");
  EXPECT_EQ(hints.text(), "");
  add("/none/b.py", "FileNotFoundError", "No such file or directory");
  add("/none/c.py", "FileNotFoundError", "No such file or directory");
  EXPECT_EQ(hints.text(), "\nhint: ls /\n");
  add("/none/d e.py", "PermissionError", "Permission denied");
  add("/etc/passwd", "OSError", "No space left on device");
  add("/etc/group", "OSError", "cannot write it: Read-only file system");
  EXPECT_EQ(hints.text(),
            "\nhint: ls /\nhint: namei -l '/none/d e.py'\nhint: df -h /etc\nhint: findmnt -T /etc\n");
}

TEST(PrecompileHints, WhatIsInTheWayIsMoved) {
  PrecompileHints hints;
  proto::PrecompileEvent::Error error;
  error.set_type("FileExistsError");
  error.set_pyc("/none/a.pyc");
  hints.add(error);
  EXPECT_EQ(hints.text(), "\nhint: mv /none/a.pyc /none/a.pyc.aside\n");
}

TEST(PrecompileCommand, WhatIsNoErrorOfPythonsCompilerHasPlainWords) {
  const auto line_of = [](const std::string& type, const std::string& message) {
    proto::PrecompileEvent::Error error;
    error.set_path("a");
    error.set_type(type);
    error.set_message(message);
    return error_line(error);
  };
  EXPECT_EQ(line_of("FileNotFoundError", "No such file or directory"), "a: no such file or directory");
  EXPECT_EQ(line_of("OSError", "neither a file nor a directory"), "a: neither a file nor a directory");
  EXPECT_EQ(line_of("ValueError", "its bytecode file would be that of a.py"),
            "a: its bytecode file would be that of a.py");
  EXPECT_EQ(line_of("RecursionError", "too deep"), "a: RecursionError: too deep");
}

TEST(PrecompileOutput, TheSummaryIsOneLine) {
  proto::PrecompileEvent::Summary summary;
  summary.set_compiled(12);
  summary.set_fresh(30);
  EXPECT_EQ(exit_code(summary), kExitDone);
  summary.set_errors(1);
  summary.set_elapsed_us(423'000);
  EXPECT_EQ(summary_line(summary), "compiled 12, fresh 30, errors 1 in 0.42 s");
  EXPECT_EQ(exit_code(summary), kExitFix);
  summary.set_failure("the workers could not be started");
  EXPECT_EQ(exit_code(summary), kExitUnable);
  summary.set_failure_reason("interpreter");
  EXPECT_EQ(exit_code(summary), kExitFix) << "another one is to be named";
}

class ProgressTest : public testing::Test {
 protected:
  Progress progress(unsigned columns) {
    return {"compiling", columns, start_, [this](std::string_view text) { shown_ += text; }};
  }
  Progress::Clock::time_point after(int ms) const { return start_ + std::chrono::milliseconds(ms); }

  Progress::Clock::time_point start_;
  std::string shown_;
};

TEST_F(ProgressTest, ShortWorkShowsNothing) {
  auto bar = progress(80);
  bar.update(1, 2, after(499));
  bar.clear();
  EXPECT_EQ(shown_, "");
}

TEST_F(ProgressTest, ATerminalGetsABar) {
  auto bar = progress(80);
  bar.update(1, 2, after(500));
  EXPECT_EQ(shown_, "\r\x1b[Kcompiling [" + std::string(20, '#') + std::string(20, '.') + "] 1/2");
  shown_.clear();
  bar.clear();
  bar.clear();
  EXPECT_EQ(shown_, "\r\x1b[K");
}

TEST_F(ProgressTest, TheBarNeverWraps) {
  for (unsigned columns = 1; columns < 100; ++columns) {
    shown_.clear();
    progress(columns).update(500, 1000, after(1000));
    EXPECT_LT(shown_.size() - 4, columns);
  }
}

TEST_F(ProgressTest, WhatHasNoEndYetMoves) {
  auto bar = progress(80);
  bar.go_on("", after(499));
  EXPECT_EQ(shown_, "");
  bar.go_on("", after(500));
  EXPECT_EQ(shown_, "\r\x1b[Kcompiling [.....###............] 0 s");
  shown_.clear();
  bar.go_on("12 directories", after(2'300));
  EXPECT_EQ(shown_, "\r\x1b[Kcompiling [.....###............] 12 directories, 2 s");
  for (unsigned columns = 1; columns < 100; ++columns) {
    shown_.clear();
    progress(columns).go_on("12 directories", after(columns * 1'000));
    EXPECT_LT(shown_.size() - 4, columns);
  }
}

TEST_F(ProgressTest, ElsewhereALineNowAndThen) {
  auto lines = progress(0);
  lines.update(1, 9, after(4'999));
  lines.update(2, 9, after(5'000));
  lines.update(3, 9, after(9'999));
  lines.update(4, 9, after(10'000));
  lines.clear();
  EXPECT_EQ(shown_, "compiling 2/9\ncompiling 4/9\n");
}

}  // namespace
}  // namespace kiln
