// Tables of runs that must look the same under `python` and under `kiln run`, and the one check that goes
// over them.
//
//   const std::vector<Row> kRows = {
//       {.name = "uncaught_exception", .target = {"uncaught.py"}},
//       {.name = "optimized", .options = {"-O"}, .target = {"dump_flags.py"}},
//       {.name = "syntax_error", .target = {"bad.py"}, .expect = Expect::any, .files = {{"bad.py", "x =
//       (\n"}}},
//   };
//   KILN_TABLE(Programs, kRows);
//
// Each row runs once under python, then under kiln until an image has served it, each time in a fresh copy of
// the same directory; every one of these runs, warm or not, is compared.
#pragma once

#include <gtest/gtest.h>

#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/harness.h"

namespace kiln::e2e {

// How Kiln may serve a row once the image for its options and environment is warm.
enum class Expect {
  bare,  // must be served by an image
  any,   // equal results are all that is asked
  exec,  // must step aside
};

struct Row {
  std::string name;
  // The command line after `python`: {cwd} stands for the work directory. Files of tests/fidelity/programs
  // that are named here are copied into it; WITH names further ones.
  std::vector<std::string> options = {};
  std::vector<std::string> target = {};
  // Instead of a target: a bash command in which PYTHON stands for the interpreter, or for kiln.
  std::string shell = {};
  Expect expect = Expect::bare;
  int since = 8;   // 3.x that this row needs
  int until = 13;  // and the last one that it holds for
  std::vector<std::string> with = {};
  std::vector<std::pair<std::string, std::string>> files = {};  // name, content
  std::string prepare = {};  // Python code that the interpreter under test runs first, in the work directory
  std::vector<std::string> env = {};      // changes to the plain environment
  std::vector<std::string> raw_env = {};  // entries appended as they are: duplicates, no '='
  std::string cwd = {};                   // below the work directory
  Stream in = Stream::null;
  std::string input = {};
  Stream out = Stream::pipe;
  Stream err = Stream::pipe;
  std::function<void()> in_child = {};
  // False if the log line cannot be read: standard error is closed, full or mixed with the output.
  bool reads_log = true;
  // The files that the program leaves are random in content; compare names only.
  bool names_only = false;
};

// A row under one interpreter.
struct Case {
  Python python;
  Row row;
};

// How GoogleTest shows a case: the command line, for a reader who wants to repeat it.
void PrintTo(const Case& test, std::ostream* out);

std::vector<Case> cases(const std::vector<Row>& rows);
std::string case_name(const testing::TestParamInfo<Case>& info);
void check(const Case& test);

#define KILN_TABLE(Suite, rows)                         \
  class Suite : public testing::TestWithParam<Case> {}; \
  TEST_P(Suite, SameAsPython) {                         \
    check(GetParam());                                  \
  }                                                     \
  INSTANTIATE_TEST_SUITE_P(Table, Suite, testing::ValuesIn(cases(rows)), case_name)

}  // namespace kiln::e2e
