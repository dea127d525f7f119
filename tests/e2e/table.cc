#include "tests/e2e/table.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <ostream>
#include <regex>
#include <set>

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

constexpr int kMostTries = 30;
constexpr time_t kSourceTime = 1'600'000'000;  // so that the header of a pyc is the same in each copy

// What a row comes to, under python or kiln.
struct Result {
  Outcome outcome;
  std::map<std::string, std::string> files;
};

std::string replaced(std::string text, std::string_view from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

void copy_program(const std::string& name, const std::string& dir) {
  std::error_code none;
  const fs::path source = fs::path(programs_dir()) / name;
  if (name.empty() || name.front() == '/' || !fs::exists(source, none)) return;
  fs::copy(source, fs::path(dir) / name, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
}

void set_times(const std::string& dir) {
  const timespec time{kSourceTime, 0};
  const std::array times{time, time};
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    ::utimensat(AT_FDCWD, entry.path().c_str(), times.data(), AT_SYMLINK_NOFOLLOW);
  }
}

// The directory that each run of the row starts from, made once.
std::string make_template(const Case& test) {
  const std::string dir = home_dir() + "/template";
  reset_work_dir();
  for (const std::string& word : test.row.target) copy_program(word, work_dir());
  for (const std::string& name : test.row.with) copy_program(name, work_dir());
  for (const auto& [name, content] : test.row.files) write_file(work_dir() + "/" + name, content);
  if (!test.row.prepare.empty()) {
    const Outcome done = run({.argv = {test.python.path, "-c", test.row.prepare}});
    EXPECT_EQ(done.err, "") << "while preparing";
  }
  set_times(work_dir());
  fs::remove_all(dir);
  fs::rename(work_dir(), dir);
  return dir;
}

void enter_copy_of(const std::string& dir) {
  fs::remove_all(work_dir());
  fs::copy(dir, work_dir(), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  set_times(work_dir());
}

std::string quoted(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += "'" + word + "' ";
  return line;
}

std::vector<std::string> command_line(const Row& row, std::vector<std::string> program) {
  for (const std::string& word : row.options) program.push_back(replaced(word, "{cwd}", work_dir()));
  if (!row.shell.empty()) return {"/bin/bash", "-c", replaced(row.shell, "PYTHON", quoted(program))};
  for (const std::string& word : row.target) program.push_back(replaced(word, "{cwd}", work_dir()));
  return program;
}

std::vector<std::string> row_environment(const Row& row) {
  std::vector<std::string> environment;
  std::vector<std::string> changes = row.env;
  for (std::string& change : changes) change = replaced(change, "{cwd}", work_dir());
  environment = environment_with(changes);
  environment.insert(environment.end(), row.raw_env.begin(), row.raw_env.end());
  return environment;
}

// Copies the members, but never the program: each side names its own.
Invocation invocation_of(const Row& row, const std::vector<std::string>& program) {
  return {.argv = command_line(row, program),
          .environment = row_environment(row),
          .cwd = row.cwd.empty() ? work_dir() : work_dir() + "/" + row.cwd,
          .in = row.in,
          .input = row.input,
          .out = row.out,
          .err = row.err,
          .in_child = row.in_child};
}

// Addresses differ from run to run; nothing else may.
std::string without_addresses(const std::string& text) {
  static const std::regex address("0x[0-9a-f]{6,16}");
  return text.find("0x") == std::string::npos ? text : std::regex_replace(text, address, "0xADDRESS");
}

// Whether bytecode notes that an object is shared (FLAG_REF) depends on who else holds it at that moment,
// which two runs of plain python do not agree on either. So of a pyc the header counts: magic, flags, time
// and size.
void keep_header_of_bytecode(std::map<std::string, std::string>& files) {
  constexpr std::size_t kHeaderSize = 16;
  for (auto& [name, content] : files) {
    if (name.ends_with(".pyc") && content.size() > kHeaderSize) content.resize(kHeaderSize);
  }
}

// In the working directory as it is.
Result run_there(const Row& row, const std::vector<std::string>& program) {
  Result result{run(invocation_of(row, program)), snapshot(work_dir())};
  result.outcome.out = without_addresses(result.outcome.out);
  result.outcome.err = without_addresses(result.outcome.err);
  keep_header_of_bytecode(result.files);
  if (row.names_only) {
    for (auto& [name, content] : result.files) content.clear();
  }
  return result;
}

Result run_row(const Row& row, const std::string& dir, const std::vector<std::string>& program) {
  enter_copy_of(dir);
  return run_there(row, program);
}

void expect_same(const Result& python, const Result& kiln, const LogLine& log) {
  const testing::ScopedTrace trace(__FILE__, __LINE__, "served as: " + log.line);
  EXPECT_FALSE(python.outcome.timed_out) << "python hangs";
  EXPECT_FALSE(kiln.outcome.timed_out) << "kiln hangs";
  EXPECT_EQ(python.outcome.out, kiln.outcome.out) << "standard output differs";
  EXPECT_EQ(python.outcome.err, kiln.outcome.err) << "standard error differs";
  EXPECT_EQ(describe_status(python.outcome.status), describe_status(kiln.outcome.status));
  EXPECT_EQ(python.files, kiln.files) << "files differ";
}

// The image for the row's options and environment, unless this test process has met them before. Only the row
// itself can tell whether it is served; this keeps the number of its own runs small.
void warm_up(const Case& test) {
  static std::set<std::string> warmed;
  std::string key = test.python.path;
  for (const std::string& option : test.row.options) key += '\0' + option;
  for (const std::string& entry : row_environment(test.row)) key += '\0' + entry;
  if (!warmed.insert(key).second) return;
  std::vector<std::string> arguments;
  for (const std::string& word : test.row.options) arguments.push_back(replaced(word, "{cwd}", work_dir()));
  arguments.insert(arguments.end(), {"-c", "pass"});
  std::vector<std::string> environment = row_environment(test.row);
  apply_change(environment, "KILN_LOG=1");  // rows that run without it are served by the same image
  run_until_bare(test.python, arguments, environment);
}

// Has the row's program run ahead, with the files that it will find.
void run_ahead(const Case& test) {
  run(invocation_of(test.row, {kiln_binary(), "warm", "--python", test.python.path}));
}

// One run under kiln, compared. Returns what the log line says.
LogLine compare_once(const Case& test, const std::string& dir, const Result& expected) {
  enter_copy_of(dir);
  if (programs_are_run_ahead() && test.row.shell.empty()) run_ahead(test);
  Result result = run_there(test.row, {kiln_binary(), "run", "--python", test.python.path});
  LogLine log;
  if (test.row.reads_log) {
    log = take_log_line(result.outcome.err);
    EXPECT_NE(log.mode, "") << "not exactly one log line of the promised form: " << log.line << "\n"
                            << result.outcome.err;
  }
  expect_same(expected, result, log);
  return log;
}

}  // namespace

std::vector<Case> cases(const std::vector<Row>& rows) {
  std::vector<Case> all;
  for (const Python& python : interpreters()) {
    for (const Row& row : rows) {
      if (python.minor >= row.since && python.minor <= row.until) all.push_back({python, row});
    }
  }
  return all;
}

void PrintTo(const Case& test, std::ostream* out) {
  for (const std::string& word : command_line(test.row, {test.python.path}))
    *out << word.substr(0, 200) << ' ';
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  return info.param.row.name + "_" + info.param.python.name;
}

void check(const Case& test) {
  const std::string dir = make_template(test);
  const Result expected = run_row(test.row, dir, {test.python.path});
  if (test.row.expect != Expect::exec) warm_up(test);
  const bool must_be_bare = test.row.expect == Expect::bare && test.row.reads_log;
  LogLine log;
  for (int i = 0; i < (must_be_bare ? kMostTries : 1) && !log.is_served(); ++i) {
    log = compare_once(test, dir, expected);
    if (testing::Test::HasFailure()) return;
  }
  if (must_be_bare) {
    EXPECT_TRUE(log.is_served()) << "no image served it: " << log.line;
  } else if (test.row.expect == Expect::exec && test.row.reads_log) {
    EXPECT_EQ(log.mode, "exec") << log.line;
  }
}

}  // namespace kiln::e2e
