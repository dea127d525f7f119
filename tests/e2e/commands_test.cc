// Everything around `kiln run`: help, version, status, and precompile beside compileall.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;

class Commands : public testing::Test {
 protected:
  void SetUp() override { reset_work_dir(); }
};

TEST_F(Commands, Version) {
  const Outcome outcome = kiln({"--version"});
  EXPECT_THAT(outcome.out, ContainsRegex("kiln [0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
}

TEST_F(Commands, HelpOnEverything) {
  const std::vector<std::vector<std::string>> commands{
      {"--help"}, {"run", "--help"}, {"precompile", "--help"}, {"status", "--help"}, {"daemon", "--help"}};
  for (const auto& command : commands) {
    const Outcome outcome = kiln(command);
    EXPECT_THAT(outcome.out, HasSubstr("kiln")) << command[0];
    EXPECT_EQ(describe_status(outcome.status), "exit 0") << command[0];
    EXPECT_EQ(outcome.err, "");
  }
}

TEST_F(Commands, WrongUsageExitsWithTwo) {
  const std::vector<std::vector<std::string>> commands{
      {"no-such-command"}, {"status", "--no-such-option"}, {"daemon", "no-such-action"}, {"precompile"}};
  for (const auto& command : commands) {
    const Outcome outcome = kiln(command);
    EXPECT_EQ(describe_status(outcome.status), "exit 2") << command[0];
    EXPECT_NE(outcome.err, "") << command[0];
    EXPECT_EQ(outcome.out, "") << command[0];
  }
}

TEST_F(Commands, WrongUsageHasOneForm) {
  const std::vector<std::vector<std::string>> commands{{"status", "--bogus"},
                                                       {"status", "extra"},
                                                       {"precompile"},
                                                       {"precompile", "--bogus", "x"},
                                                       {"daemon", "bogus"},
                                                       {"daemon", "start", "--bogus"},
                                                       {"daemon"}};
  for (const auto& command : commands) {
    const Outcome outcome = kiln(command);
    EXPECT_THAT(outcome.err, MatchesRegex("error: [^\n]+\n\nhint: kiln " + command[0] + " --help\n"));
    EXPECT_EQ(describe_status(outcome.status), "exit 2") << command[0];
    EXPECT_EQ(outcome.out, "") << command[0];
  }
  EXPECT_THAT(kiln({"bogus"}).err, MatchesRegex("error: [^\n]+\n\nhint: kiln --help\n"));
  EXPECT_THAT(kiln({"run", "--python"}).err, MatchesRegex("error: [^\n]+\n\nhint: kiln run [^\n]+\n"));
}

TEST_F(Commands, AMissingInterpretersHintNamesTheCommand) {
  for (const std::string command : {"run", "precompile"}) {
    const Outcome outcome = kiln({command, "--python", "no-such-python", "x.py"});
    EXPECT_EQ(outcome.err, "error: no interpreter named no-such-python on PATH\n\nhint: kiln " + command +
                               " --python /usr/bin/python3 ...\n");
    EXPECT_EQ(describe_status(outcome.status), "exit 3");
  }
}

TEST_F(Commands, StatusIsOneJsonDocument) {
  run_until_bare(any_python(), {"-c", "pass"}, base_environment());
  const Outcome status = kiln({"status", "--json"});
  EXPECT_EQ(describe_status(status.status), "exit 0");
  const Outcome keys = run({.argv = {any_python().path, "-c",
                                     "import json, sys\nd = json.load(sys.stdin)\nprint(sorted(d))\n"
                                     "print(sorted(d['cache']))\nprint(len(d['images']) > 0)\n"
                                     "print(len(d['interpreters']) > 0, d['daemon']['pid'] > 0)"},
                            .in = Stream::file,
                            .input = status.out});
  EXPECT_EQ(keys.out,
            "['cache', 'daemon', 'images', 'interpreters', 'limits', 'roots']\n"
            "['entries', 'error', 'fresh', 'orphan', 'stale', 'store_bytes']\nTrue\nTrue True\n")
      << keys.err << status.out;
  EXPECT_NE(kiln({"status"}).out, "");
}

class Precompile : public testing::TestWithParam<Python> {
 protected:
  void SetUp() override { reset_work_dir(); }

  static constexpr time_t kTime = 1'600'000'000;

  // A tree with what a compiler meets: packages, encodings, line ends, names with spaces, an empty file,
  // depth.
  static void make_tree() {
    reset_work_dir();
    const std::string root = work_dir() + "/tree/";
    write_file(root + "plain.py", "import os\n\ndef f(x, y=1):\n    return [x for x in range(y)]\n");
    write_file(root + "empty.py", "");
    write_file(root + "package/__init__.py", "'''A docstring.'''\nNAME = 'name'\n");
    write_file(root + "package/deep/er/module.py",
               "class A:\n    def m(self):\n        return lambda: self\n");
    write_file(root + "a name.py", "print('\u00e4')\n");
    write_file(root + "latin.py", "# coding: latin-1\nX = '\xe4'\n");
    write_file(root + "bom.py", "\xef\xbb\xbfX = 1\n");
    write_file(root + "crlf.py", "X = '''a\r\nb'''\r\n");
    write_file(root + "sets.py", "def f(x):\n    return x in {'a', 'b', 'c'} or x in {1, 2, 3}\n");
    write_file(root + "not_python.txt", "no");
    write_file(root + "constants.py",
               "A = (1, 2.5, 1j, b'x', 'x', None, ..., (1, (2,)), -0.0, 10**30)\nB = 'abc' 'def'\n");
    set_times(root);
  }

  static void set_times(const std::string& root) {
    const timespec time{kTime, 0};
    const timespec times[] = {time, time};
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      ::utimensat(AT_FDCWD, entry.path().c_str(), times, 0);
    }
  }

  // Name -> content, with the file's mode: what a build compares.
  static std::map<std::string, std::string> tree() {
    std::map<std::string, std::string> files = snapshot(work_dir() + "/tree");
    for (auto& [name, content] : files) {
      struct stat info {};
      ::stat((work_dir() + "/tree/" + name).c_str(), &info);
      content += "\nmode " + std::to_string(info.st_mode);
    }
    return files;
  }

  Outcome precompile(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"precompile", "--python", GetParam().path});
    return kiln(arguments);
  }

  // Bytecode of one source under `__pycache__`, as inode and change time: equal if nobody wrote it.
  static std::string identity(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return "missing " + path;
    return std::to_string(info.st_ino) + " " + std::to_string(info.st_mtim.tv_sec) + "." +
           std::to_string(info.st_mtim.tv_nsec);
  }

  std::string bytecode_of(const std::string& name) const {
    return work_dir() + "/tree/__pycache__/" + name + ".cpython-3" + std::to_string(GetParam().minor) +
           ".pyc";
  }
};

constexpr int kFirstReproducible =
    11;  // up to 3.10 compileall does not always write the same bytes as itself

TEST_P(Precompile, WritesWhatCompileallWrites) {
  make_tree();
  const Outcome plain = run({.argv = {GetParam().path, "-m", "compileall", "-q", "tree"}});
  ASSERT_EQ(plain.status, 0) << plain.out;
  const auto expected = tree();
  make_tree();
  const Outcome outcome = precompile({"tree"});
  EXPECT_EQ(describe_status(outcome.status), "exit 0") << outcome.err;
  const auto actual = tree();
  std::vector<std::string> names;
  for (const auto& [name, content] : expected) {
    const auto found = actual.find(name);
    ASSERT_NE(found, actual.end()) << name << " is missing";
    if (GetParam().minor >= kFirstReproducible) {
      EXPECT_EQ(content, found->second) << name;
    } else {
      EXPECT_EQ(content.substr(0, 16), found->second.substr(0, 16)) << name;
    }
  }
  EXPECT_EQ(expected.size(), actual.size());
}

TEST_P(Precompile, CodeIsEqualInEveryVersion) {
  make_tree();
  precompile({"tree"});
  const std::string check =
      "import marshal, pathlib, importlib.util as u\n"
      "for path in sorted(pathlib.Path('tree').rglob('*.py')):\n"
      "    cached = open(u.cache_from_source(str(path)), 'rb').read()\n"
      "    code = compile(path.read_bytes(), str(path), 'exec', dont_inherit=True)\n"
      "    print(path, marshal.loads(cached[16:]) == code)\n";
  const std::string out = python_output(GetParam(), check);
  EXPECT_THAT(out, HasSubstr("True"));
  EXPECT_THAT(out, testing::Not(HasSubstr("False")));
}

TEST_P(Precompile, CompilesASingleFile) {
  make_tree();
  EXPECT_EQ(describe_status(precompile({"tree/plain.py"}).status), "exit 0");
  EXPECT_TRUE(fs::exists(bytecode_of("plain")));
  EXPECT_FALSE(fs::exists(bytecode_of("sets")));
}

TEST_P(Precompile, DoesNothingTheSecondTime) {
  make_tree();
  precompile({"tree"});
  ASSERT_TRUE(fs::exists(bytecode_of("plain")));
  const std::string before = identity(bytecode_of("plain"));
  EXPECT_EQ(describe_status(precompile({"tree"}).status), "exit 0");
  EXPECT_EQ(identity(bytecode_of("plain")), before);
}

TEST_P(Precompile, SeesAnEditAtOnce) {
  make_tree();
  precompile({"tree"});
  write_file(work_dir() + "/tree/plain.py", "VALUE = 'edited'\n");
  const std::string before = identity(bytecode_of("plain"));
  precompile({"tree"});
  EXPECT_NE(identity(bytecode_of("plain")), before);
  EXPECT_THAT(read_file(bytecode_of("plain")), HasSubstr("edited"));
}

TEST_P(Precompile, ImportsUseWhatItWrote) {
  make_tree();
  precompile({"tree"});
  const std::string before = identity(bytecode_of("plain"));
  python_output(GetParam(), "import sys; sys.path.insert(0, 'tree'); import plain");
  EXPECT_EQ(identity(bytecode_of("plain")), before);
}

TEST_P(Precompile, ReportsSyntaxErrorsAndGoesOn) {
  make_tree();
  write_file(work_dir() + "/tree/bad.py", "x = 1\nprint(x\n");
  const Outcome outcome = precompile({"tree"});
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_THAT(outcome.err, ContainsRegex("(^|\n)tree/bad\\.py:[0-9]+:[0-9]+: SyntaxError: "));
  EXPECT_TRUE(fs::exists(bytecode_of("plain")));
  EXPECT_FALSE(fs::exists(bytecode_of("bad")));
}

TEST_P(Precompile, ReportsIndentationErrorsAndNulBytes) {
  using namespace std::string_literals;
  make_tree();
  write_file(work_dir() + "/tree/indented.py", "def f():\nreturn 1\n");
  write_file(work_dir() + "/tree/nul.py", "x = '\0'\n"s);
  const Outcome outcome = precompile({"tree"});
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_THAT(outcome.err, HasSubstr("tree/indented.py:2:"));
  EXPECT_THAT(outcome.err, HasSubstr("IndentationError"));
  EXPECT_THAT(outcome.err, HasSubstr("tree/nul.py"));
}

TEST_P(Precompile, MissingPathIsAnError) {
  make_tree();
  const Outcome outcome = precompile({"no/such/dir"});
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_THAT(outcome.err, HasSubstr("no/such/dir"));
}

TEST_P(Precompile, HonoursTheCachePrefix) {
  make_tree();
  const std::string prefix = work_dir() + "/prefix";
  const Outcome outcome =
      kiln({"precompile", "--python", GetParam().path, "tree"}, {"PYTHONPYCACHEPREFIX=" + prefix});
  EXPECT_EQ(describe_status(outcome.status), "exit 0") << outcome.err;
  EXPECT_FALSE(fs::exists(work_dir() + "/tree/__pycache__"));
  const std::string tag = ".cpython-3" + std::to_string(GetParam().minor);
  EXPECT_TRUE(
      fs::exists(prefix + work_dir() + "/tree/plain" + tag + ".pyc"));  // no __pycache__ below a prefix
}

std::string python_name(const testing::TestParamInfo<Python>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Each, Precompile, testing::ValuesIn(interpreters()), python_name);

}  // namespace
}  // namespace kiln::e2e
