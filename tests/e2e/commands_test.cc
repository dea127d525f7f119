// Everything around `kiln run`: help, version, status, and precompile beside compileall.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

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
      {"--help"},          {"run", "--help"},    {"precompile", "--help"}, {"status", "--help"},
      {"gc", "--help"},    {"daemon", "--help"}, {"inspect", "--help"},    {"list", "--help"},
      {"clean", "--help"}, {"config", "--help"}, {"explain", "--help"}};
  for (const auto& command : commands) {
    const Outcome outcome = kiln(command);
    EXPECT_THAT(outcome.out, HasSubstr("kiln")) << command[0];
    EXPECT_EQ(describe_status(outcome.status), "exit 0") << command[0];
    EXPECT_EQ(outcome.err, "");
  }
}

TEST_F(Commands, HelpOfACommand) {
  EXPECT_THAT(kiln({"help", "run", "main.py"}).out, HasSubstr("Usage: kiln run ")) << "nothing is run";
  EXPECT_THAT(kiln({"help", "x", "ls"}).out, HasSubstr("Usage: kiln x "));
  EXPECT_THAT(kiln({"help", "explain", "run", "main.py"}).out, HasSubstr("Usage: kiln explain run "));
  EXPECT_THAT(kiln({"help", "help"}).out, HasSubstr("Usage: kiln COMMAND"));
  const Outcome outcome = kiln({"help", "list"});
  EXPECT_EQ(outcome.out, kiln({"list", "--help"}).out);
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
}

TEST_F(Commands, WhatIsNoPythonIsNotKept) {
  write_file(work_dir() + "/text", "this is no program\n");
  EXPECT_EQ(describe_status(kiln({"precompile", "text"}).status), "exit 1");
  EXPECT_EQ(kiln({"list", "text"}).out, "");
}

TEST_F(Commands, ListGoesOnBehindWhatIsNotThere) {
  write_file(work_dir() + "/a.py", "");
  kiln({"precompile", "a.py"});
  const Outcome outcome = kiln({"list", "nope", "a.py", "nor"});
  EXPECT_THAT(outcome.out, HasSubstr("/a.py"));
  EXPECT_THAT(outcome.err, HasSubstr("/nope, and"));
  EXPECT_THAT(outcome.err, HasSubstr("/nor, and"));
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
}

TEST_F(Commands, WrongUsageExitsWithTwo) {
  const std::vector<std::vector<std::string>> commands{{"no-such-command"},
                                                       {"status", "--no-such-option"},
                                                       {"daemon", "no-such-action"},
                                                       {"precompile"},
                                                       {"explain"},
                                                       {"inspect"}};
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
                                                       {"gc", "extra"},
                                                       {"config", "--bogus"},
                                                       {"config", "--describe", "--json"},
                                                       {"gc", "--limit", "much"},
                                                       {"precompile"},
                                                       {"precompile", "--bogus", "x"},
                                                       {"inspect"},
                                                       {"inspect", "--bogus", "x"},
                                                       {"inspect", "--dis", "--json", "x"},
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

TEST_F(Commands, AMissingInterpretersHintGivesTheCommandAgain) {
  for (const std::string command : {"run", "precompile"}) {
    const Outcome outcome = kiln({command, "--python", "no-such-python", "x.py"});
    EXPECT_EQ(outcome.err, "error: no interpreter named no-such-python on PATH\n\nhint: kiln " + command +
                               " --python /usr/bin/python3 x.py\n");
    EXPECT_EQ(describe_status(outcome.status), "exit 2");
    EXPECT_EQ(describe_status(kiln({command, "--python", "3.99", "x.py"}).status), "exit 2");
  }
}

TEST_F(Commands, WhereTheCurrentDirectoryIsGoneAbsolutePathsWillDo) {
  write_file(work_dir() + "/src/a.py", "place = 'nowhere'\n");
  const auto from_nowhere = [](const std::string& path) {
    return run({.argv = {"/bin/sh", "-c", "mkdir gone && cd gone && rmdir ../gone && exec \"$@\"", "sh",
                         kiln_binary(), "precompile", "--python", any_python().path, path},
                .environment = base_environment()});
  };
  EXPECT_THAT(from_nowhere(work_dir() + "/src").out, HasSubstr("compiled 1, fresh 0"));
  const Outcome relative = from_nowhere("src");
  EXPECT_EQ(relative.err, "error: the current directory is gone\n\nhint: cd \"$HOME\"\n");
  EXPECT_EQ(describe_status(relative.status), "exit 3");
}

TEST_F(Commands, TimingIsToldAfterTheProgram) {
  run_until_bare(any_python(), {"-c", "pass"}, base_environment());
  const std::string program = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(4)";
  const Outcome served =
      kiln({"run", "--timing", "--python", any_python().path, "-c", program}, {"KILN_LOG"});
  EXPECT_EQ(describe_status(served.status), "exit 4");
  EXPECT_EQ(served.out, "out\n");
  EXPECT_THAT(served.err, testing::MatchesRegex("err\n(kiln: +[0-9.]+ ms  [^\n]+\n)+"));
  EXPECT_THAT(served.err, testing::EndsWith(" ms  in all: it was bare\n"));
  const Outcome executed =
      kiln({"run", "--timing", "--python", any_python().path, "-c", program}, {"KILN_LOG", "KILN_DISABLE=1"});
  EXPECT_EQ(describe_status(executed.status), "exit 4");
  EXPECT_THAT(executed.err,
              testing::MatchesRegex("kiln: +[0-9.]+ ms  in all: then [^\n]+ \\(disabled\\)\nerr\n"));
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
            "['cache', 'daemon', 'images', 'imported_directories', 'interpreters', 'limits', 'overflows', "
            "'roots', 'unwatched_directories', 'unwatched_imports', 'version']\n"
            "['entries', 'error', 'fresh', 'orphan', 'stale', 'store_bytes']\nTrue\nTrue True\n")
      << keys.err << status.out;
  EXPECT_NE(kiln({"status"}).out, "");
}

// What `kiln status --json` says of the store.
std::string store_bytes() {
  return run({.argv = {any_python().path, "-c",
                       "import json, sys\nprint(json.load(sys.stdin)['cache']['store_bytes'])"},
              .in = Stream::file,
              .input = kiln({"status", "--json"}).out})
      .out;
}

std::vector<std::string> objects() {
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(cache_dir() + "/store")) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  return paths;
}

// Two, of one block each.
std::vector<std::string> put_objects() {
  kiln({"gc", "--limit", "0"});
  write_file(work_dir() + "/one.py", "one = 1\n");
  write_file(work_dir() + "/two.py", "two = 2\n");
  kiln({"precompile", "--force", "one.py", "two.py"});
  kiln({"gc"});  // what waits is written before
  return objects();
}

TEST_F(Commands, GcShrinksTheStore) {
  const auto put = put_objects();
  ASSERT_EQ(put.size(), 2U);
  const std::string& older = put[0];
  const std::string& newer = put[1];
  fs::last_write_time(older, fs::last_write_time(newer) - std::chrono::hours(2));
  EXPECT_EQ(
      kiln({"gc"}).out,
      "store: 2 objects, 8.0 KiB; removed 0 objects, 0 B\noverlay: 0 files, 0 B; removed 0 files, 0 B\n");
  EXPECT_EQ(store_bytes(), "8192\n");
  EXPECT_THAT(kiln({"gc", "--limit", "6KiB"}).out,
              StartsWith("store: 1 object, 4.0 KiB; removed 1 object, 4.0 KiB\n"));
  EXPECT_FALSE(fs::exists(older));
  EXPECT_TRUE(fs::exists(newer));
  const Outcome last = kiln({"gc", "--limit", "0", "--json"});
  EXPECT_EQ(last.out, R"({"version":1,"objects":0,"bytes":0,"removed_objects":1,"removed_bytes":4096,)"
                      R"("overlay":{"files":0,"bytes":0,"removed_files":0,"removed_bytes":0}})"
                      "\n");
  EXPECT_EQ(describe_status(last.status), "exit 0");
  EXPECT_EQ(store_bytes(), "0\n");
}

TEST_F(Commands, GcRemovesWhatIsDamaged) {
  const auto put = put_objects();
  ASSERT_EQ(put.size(), 2U);
  write_file(put[0], "damage");
  EXPECT_THAT(kiln({"gc"}).out, StartsWith("store: 1 object, 4.0 KiB; removed 1 object, 4.0 KiB\n"));
  EXPECT_EQ(objects(), std::vector<std::string>{put[1]});
}

// The overlay's bytecode of module NAME in a tree that is gone, or is not: what is in it nobody reads.
std::string put_in_overlay(const std::string& name) {
  const std::string path = cache_dir() + "/overlay" + work_dir() + "/" + name + ".cpython-311.pyc";
  write_file(path, std::string(5000, 'x'));
  return path;
}

TEST_F(Commands, GcRemovesWhatTheOverlayHasOfSourcesThatAreGone) {
  const std::string gone = put_in_overlay("gone");
  const std::string there = put_in_overlay("there");
  write_file(work_dir() + "/there.py", "x = 1\n");
  EXPECT_THAT(kiln({"gc"}).out, HasSubstr("overlay: 1 file, 8.0 KiB; removed 1 file, 8.0 KiB\n"));
  EXPECT_FALSE(fs::exists(gone));
  EXPECT_TRUE(fs::exists(there));
  EXPECT_THAT(kiln({"status"}).out, HasSubstr("overlay: 8.0 KiB of 512.0 MiB\n"));
  EXPECT_EQ(kiln({"clean", "--orphans"}).out, "");
  fs::remove(work_dir() + "/there.py");
  EXPECT_EQ(kiln({"clean", "--orphans", "elsewhere"}).out, "");
  EXPECT_EQ(kiln({"clean", "--orphans", "."}).out, "removed " + there + "\n");
  EXPECT_FALSE(fs::exists(there));
}

TEST_F(Commands, GcOfAStoreThatCannotBeReadIsAnError) {
  kiln({"gc", "--limit", "0"});
  fs::remove_all(cache_dir() + "/store");
  write_file(cache_dir() + "/store", "");
  const Outcome outcome = kiln({"gc"});
  fs::remove(cache_dir() + "/store");
  EXPECT_EQ(outcome.err, "error: cannot read " + cache_dir() + "/store: Not a directory\n\nhint: namei -l " +
                             cache_dir() + "/store\n");
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(describe_status(outcome.status), "exit 3");
}

constexpr const char* kShop = "class Shop:\n    def sell(self):\n        return lambda: 1\n";

// A package whose module shop.py was compiled by PYTHON with MODE, a PycInvalidationMode. The bytecode's
// path.
std::string compiled_shop(const Python& python, const std::string& mode = "TIMESTAMP") {
  write_file(work_dir() + "/shop.py", kShop);
  const timespec times[] = {{1'600'000'000, 0}, {1'600'000'000, 0}};
  ::utimensat(AT_FDCWD, (work_dir() + "/shop.py").c_str(), times, 0);
  std::string path = python_output(
      python, "import py_compile as p; print(p.compile('shop.py', invalidation_mode=p.PycInvalidationMode." +
                  mode + "))");
  while (path.ends_with('\n')) path.pop_back();
  return path;
}

class Inspect : public testing::TestWithParam<Python> {
 protected:
  void SetUp() override { reset_work_dir(); }
};

TEST_P(Inspect, ShowsSeveralFilesEachAsAlone) {
  const auto path = compiled_shop(GetParam());
  const std::string one = kiln({"inspect", path}).out;
  const Outcome outcome = kiln({"inspect", path, "missing.pyc", path});
  EXPECT_EQ(outcome.out, one + "\n" + one);
  EXPECT_THAT(outcome.err, HasSubstr("cannot open missing.pyc"));
  EXPECT_EQ(describe_status(outcome.status), "exit 1") << "though the last one is well";
  const std::string document = kiln({"inspect", "--json", path}).out;
  EXPECT_EQ(kiln({"inspect", "--json", path, path}).out, document + document);
}

TEST_P(Inspect, ShowsAFileOfEveryVersion) {
  const auto path = compiled_shop(GetParam());
  const auto minor = std::to_string(GetParam().minor);
  const Outcome outcome = kiln({"inspect", path});
  EXPECT_THAT(outcome.out,
              MatchesRegex("file    " + path +
                           ", [0-9]+ bytes\n"
                           "python  3\\." +
                           minor +
                           ", magic number [0-9]+\n"
                           "header  16 bytes, timestamp: a source of 2020-09-13 12:26:40 UTC, 57 bytes\n"
                           "source  " +
                           work_dir() +
                           "/shop\\.py: fresh\n"
                           "code    whole, compiled as shop\\.py\n"
                           "   line\n"
                           " +[01]  <module>\n"
                           "      1    Shop\n"
                           "      2      (Shop\\.)?sell\n"
                           "      3        (Shop\\.sell\\.<locals>\\.)?<lambda>\n"));
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
}

TEST_P(Inspect, SaysWhetherItIsFresh) {
  const auto source_of = [](const std::string& path) {
    const std::string out = kiln({"inspect", path}).out;
    const auto begin = out.find("shop.py: ");
    return out.substr(begin, out.find('\n', begin) - begin);
  };
  const auto stamped = compiled_shop(GetParam());
  write_file(work_dir() + "/shop.py", kShop);
  EXPECT_EQ(source_of(stamped), "shop.py: stale, for its mtime is another");
  EXPECT_EQ(source_of(compiled_shop(GetParam(), "CHECKED_HASH")), "shop.py: fresh");
  write_file(work_dir() + "/shop.py", "edited = 1\n");
  EXPECT_EQ(source_of(stamped), "shop.py: stale, for its hash is another");
  EXPECT_EQ(source_of(compiled_shop(GetParam(), "UNCHECKED_HASH")), "shop.py: not asked");
  fs::remove(work_dir() + "/shop.py");
  EXPECT_EQ(source_of(stamped), "shop.py: missing");
}

TEST_P(Inspect, DisassemblesByTheRightInterpreter) {
  const auto path = compiled_shop(GetParam());
  // Only this one can be found, and nothing else in its directory by the name of another.
  fs::create_directory(work_dir() + "/bin");
  const auto name = "python3." + std::to_string(GetParam().minor);
  fs::create_symlink(GetParam().path, work_dir() + "/bin/" + name);
  write_file(work_dir() + "/dis.py", "raise SystemExit('not this one')\n");
  const std::vector<std::string> changes{"PATH=" + work_dir() + "/bin:/usr/bin:/bin"};
  const Outcome outcome = kiln({"inspect", "--dis", path}, changes);
  EXPECT_THAT(outcome.out, HasSubstr("LOAD_CONST"));
  EXPECT_THAT(outcome.out, HasSubstr("Disassembly of <code object <lambda>"));
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
  const Outcome both = kiln({"inspect", "--dis", path, path}, changes);
  const auto count_lines = [](const std::string& text) { return std::ranges::count(text, '\n'); };
  EXPECT_EQ(count_lines(both.out), 2 * count_lines(outcome.out) + 1) << both.out;
  EXPECT_EQ(describe_status(both.status), "exit 0") << both.err;
}

TEST_F(Commands, InspectWritesOneJsonDocument) {
  const auto path = compiled_shop(any_python());
  const auto odd = work_dir() + "/\xff \u00e4.pyc";
  fs::copy_file(work_dir() + "/" + path, odd);
  const std::string script =
      "import importlib.util, json, os, sys\nd = json.load(sys.stdin)\nprint(list(d))\n"
      "print(os.fsencode(d['file']) == os.fsencode(sys.argv[1]), d['source']['state'])\n"
      "print(d['magic'] == int.from_bytes(importlib.util.MAGIC_NUMBER[:2], 'little'))\n"
      "print(d['header']['kind'], d['header']['mtime'], d['header']['source_size'], "
      "d['header']['source_hash'])\n"
      "print(d['code']['filename'], [(o['name'], o['first_line'], o['depth']) for o in "
      "d['code']['objects']][1:])\n";
  const Outcome keys = run({.argv = {any_python().path, "-X", "utf8", "-c", script, odd},
                            .in = Stream::file,
                            .input = kiln({"inspect", "--json", odd}).out});
  EXPECT_EQ(
      keys.out,
      "['version', 'file', 'size', 'python', 'magic', 'header', 'source', 'code']\nTrue missing\n"
      "True\ntimestamp 1600000000 57 None\nshop.py [('Shop', 1, 1), ('sell', 2, 2), ('<lambda>', 3, 3)]\n")
      << keys.err;
}

TEST_F(Commands, InspectSaysWhatIsWrong) {
  const auto whole = read_file(work_dir() + "/" + compiled_shop(any_python()));
  write_file(work_dir() + "/empty.pyc", "");
  write_file(work_dir() + "/header.pyc", whole.substr(0, 15));
  write_file(work_dir() + "/cut off.pyc", whole.substr(0, whole.size() - 1));
  write_file(work_dir() + "/newer.pyc", "\xff\x7f\r\n" + whole.substr(4));
  const std::map<std::string, std::string> wrong{
      {"missing.pyc", "cannot open missing.pyc: No such file or directory"},
      {".", "\\. is not a file"},
      {"shop.py", "shop.py is no bytecode file of Python"},
      {"empty.pyc", "empty.pyc is no bytecode file of Python"},
      {"header.pyc", "header.pyc: bytecode file ends within its header"},
      {"newer.pyc", "newer.pyc: magic number 32767 is of no release of Python [^\n]+"},
      {"cut off.pyc", "cut off.pyc: what follows the header is no whole code object"}};
  for (const auto& [file, message] : wrong) {
    const Outcome outcome = kiln({"inspect", "--dis", file});
    EXPECT_THAT(outcome.err, MatchesRegex("error: " + message + "\n\nhint: [^\n]+\n"));
    EXPECT_EQ(describe_status(outcome.status), "exit 1") << file;
  }
  EXPECT_THAT(kiln({"inspect", "cut off.pyc"}).out, HasSubstr("code    damaged\n"));
  EXPECT_THAT(kiln({"inspect", "cut off.pyc"}).err, HasSubstr("hint: rm 'cut off.pyc'\n"));
}

// Between one file and the next, on either stream.
TEST_F(Commands, InspectLeavesOneEmptyLineBetweenFiles) {
  const std::string good = compiled_shop(any_python());
  write_file(work_dir() + "/bad.pyc", "bad");
  const std::string error = "error: bad.pyc is no bytecode file of Python\n\nhint: kiln inspect --help\n";
  for (const std::string option : {"", "--dis"}) {
    std::vector<std::string> command{"inspect", "bad.pyc", "bad.pyc", good, "bad.pyc", good};
    if (!option.empty()) command.push_back(option);
    const Outcome outcome = kiln(command);
    EXPECT_EQ(outcome.err, error + "\n" + error + "\n" + error);
    EXPECT_TRUE(outcome.out.starts_with("file ")) << outcome.out;
    EXPECT_THAT(outcome.out, HasSubstr("\n\nfile "));
    EXPECT_THAT(outcome.out, Not(HasSubstr("\n\n\nfile ")));
    EXPECT_EQ(describe_status(outcome.status), "exit 1");
  }
}

TEST_F(Commands, InspectNamesTheVersionThatIsMissing) {
  write_file(work_dir() + "/old.pyc", std::string("\x44\x0c\r\n\0\0\0\0c", 9) + std::string(20, '\0') +
                                          "NNNNNNNN" + std::string(4, '\0') + "N");
  const Outcome outcome = kiln({"inspect", "--dis", "old.pyc"}, {"PATH=/nowhere", "HOME=/nowhere"});
  EXPECT_THAT(outcome.out, HasSubstr("python  3.0, magic number 3140\n"));
  EXPECT_THAT(outcome.err,
              MatchesRegex("error: no interpreter of Python 3\\.0 [^\n]+\n\nhint: kiln inspect old.pyc\n"));
  EXPECT_EQ(describe_status(outcome.status), "exit 3");
}

// Its parts are whole, but what they say is nonsense: only the interpreter finds that out.
TEST_F(Commands, DamageThatOnlyTheDisassemblerFindsIsToldInOneSentence) {
  run({.argv = {
           any_python().path, "-c",
           "import dis, marshal, py_compile\n"
           "open('odd.py', 'w').write('x = 1\\n')\n"
           "py_compile.compile('odd.py', 'odd.pyc')\n"
           "head = open('odd.pyc', 'rb').read(16)\n"
           "code = marshal.loads(open('odd.pyc', 'rb').read()[16:])\n"
           "code = code.replace(co_code=bytes([dis.opmap['LOAD_CONST'], 250]) * (len(code.co_code) // 2))\n"
           "open('odd.pyc', 'wb').write(head + marshal.dumps(code))\n"}});
  const Outcome outcome = kiln({"inspect", "--dis", "odd.pyc"});
  EXPECT_THAT(outcome.err,
              MatchesRegex("error: odd\\.pyc: the code is damaged, or is not of Python 3\\.[0-9]+: "
                           "IndexError: [^\n]+\n\nhint: rm odd\\.pyc\n"));
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
}

TEST_F(Commands, OrphansAreListedAndRemovedOnRequest) {
  write_file(work_dir() + "/src/kept.py", "x = 1\n");
  write_file(work_dir() + "/src/gone.py", "x is 1\n");
  write_file(work_dir() + "/src/bad.py", "def f(:\n");
  const std::string src = work_dir() + "/src";
  kiln({"precompile", "--python", any_python().path, "src"});
  fs::remove(src + "/gone.py");
  const std::string tag = "cpython-3" + std::to_string(any_python().minor);
  EXPECT_THAT(
      kiln({"list", "src"}).out,
      MatchesRegex("error   " + src + "/bad\\.py  " + tag + "  1:[0-9]+: SyntaxError: [^\n]+\norphan  " +
                   src + "/gone\\.py  " + tag + "\nfresh   " + src + "/kept\\.py  " + tag + "\n"));
  EXPECT_EQ(kiln({"list", "--state", "orphan", "src"}).out, "orphan  " + src + "/gone.py  " + tag + "\n");
  const std::string pyc = src + "/__pycache__/gone." + tag + ".pyc";
  EXPECT_TRUE(fs::exists(pyc));
  EXPECT_EQ(kiln({"clean", "--orphans", "src"}).out, "removed " + pyc + "\n");
  EXPECT_FALSE(fs::exists(pyc));
  EXPECT_EQ(kiln({"list", "--state", "orphan", "src"}).out, "");
  EXPECT_EQ(kiln({"clean", "--orphans", "src"}).out, "");
  EXPECT_EQ(describe_status(kiln({"clean"}).status), "exit 2");
}

// A tree may be deployed so: Python imports such bytecode without a source.
// Whatever its name: another's file may have come to lie there.
TEST_F(Commands, WhatIsNoBytecodeIsNoOrphan) {
  write_file(work_dir() + "/src/gone.py", "x = 1\n");
  const std::string tag = "cpython-3" + std::to_string(any_python().minor);
  const std::string pyc = work_dir() + "/src/__pycache__/gone." + tag + ".pyc";
  kiln({"precompile", "--python", any_python().path, "src"});
  fs::remove(work_dir() + "/src/gone.py");
  write_file(pyc, "what somebody has written here, and nowhere else");
  const Outcome outcome = kiln({"clean", "--orphans", "src"});
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err,
            "error: " + pyc + " is no bytecode, whatever its name, and stays\n\nhint: rm " + pyc + "\n");
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_TRUE(fs::exists(pyc));
}

TEST_F(Commands, ListShowsEachFileOnce) {
  write_file(work_dir() + "/src/a.py", "x = 1\n");
  kiln({"precompile", "--python", any_python().path, "src"});
  const std::string once = kiln({"list", "src"}).out;
  EXPECT_THAT(once, HasSubstr("src/a.py"));
  EXPECT_EQ(kiln({"list", "src", "./src/", "src/a.py"}).out, once);
  EXPECT_EQ(kiln({"list", "src/a.py", "src"}).out, once);
}

// As precompile takes it: by what the script starts.
TEST_F(Commands, ListKnowsTheInterpreterBehindAScript) {
  write_file(work_dir() + "/src/a.py", "x = 1\n");
  const std::string shim = work_dir() + "/bin/python3";
  write_file(shim, "#!/bin/sh\nexec " + any_python().path + " \"$@\"\n");
  fs::permissions(shim, fs::perms::owner_all);
  const std::string path = "PATH=" + work_dir() + "/bin:/usr/bin:/bin";
  kiln({"precompile", "--python", "python3", "src"}, {path});
  EXPECT_THAT(kiln({"list", "--python", "python3", "src"}, {path}).out, HasSubstr("src/a.py"));
  EXPECT_THAT(kiln({"list", "--python", shim, "src"}).out, HasSubstr("src/a.py"));
}

TEST_F(Commands, ListSortsAndLimitsAndKnowsInterpreters) {
  write_file(work_dir() + "/src/large.py", "x = [" + std::string(1'000, '1') + "]\n");
  write_file(work_dir() + "/src/bad.py", "x = = 1\n");
  write_file(work_dir() + "/src/a.py", "x = 1\n");
  kiln({"precompile", "--python", any_python().path, "src"});
  const auto listed = [](std::vector<std::string> options) {
    options.insert(options.begin(), {"list", work_dir() + "/src"});
    std::string names;
    const std::string text = kiln(options).out;
    for (std::size_t at = 0; (at = text.find("/src/", at)) != std::string::npos; ++at)
      names += text.substr(at + 5, text.find(".py", at) - at - 5) + " ";
    return names;
  };
  EXPECT_EQ(listed({}), "a bad large ");
  EXPECT_EQ(listed({"--sort", "size"}), "large a bad ");
  EXPECT_EQ(listed({"--sort", "state"}), "bad a large ");
  EXPECT_EQ(listed({"--sort", "size", "--limit", "1"}), "large ");
  EXPECT_EQ(listed({"--limit", "2"}), "a bad ");
  EXPECT_EQ(listed({"--state", "fresh", "--limit", "1"}), "a ");
  EXPECT_EQ(listed({"--state", "error"}), "bad ");
  EXPECT_EQ(listed({"--python", any_python().path}), "a bad large ");
  EXPECT_EQ(listed({"--python", "/no/such/python"}), "");
  EXPECT_EQ(describe_status(kiln({"list", "--python", "no-such-python"}).status), "exit 2");
  EXPECT_EQ(describe_status(kiln({"list", "--limit", "0"}).status), "exit 2");
}

TEST_F(Commands, WhatCleaningWouldRemoveIsToldBefore) {
  write_file(work_dir() + "/src/gone.py", "x = 1\n");
  kiln({"precompile", "--python", any_python().path, "src"});
  fs::remove(work_dir() + "/src/gone.py");
  const auto before = snapshot(work_dir() + "/src");
  const Outcome planned = kiln({"clean", "--orphans", "--dry-run", "src"});
  EXPECT_EQ(snapshot(work_dir() + "/src"), before);
  EXPECT_THAT(planned.out,
              MatchesRegex("would remove " + work_dir() + "/src/__pycache__/gone\\.cpython-3[0-9]*\\.pyc\n"));
  const Outcome done = kiln({"clean", "--orphans", "src"});
  EXPECT_EQ("would remove" + done.out.substr(done.out.find(' ')), planned.out);
}

TEST_F(Commands, ListShowsWhatItIsSortedBy) {
  write_file(work_dir() + "/src/a.py", "x = 1\n");
  kiln({"precompile", "--python", any_python().path, "src"});
  EXPECT_THAT(kiln({"list", "--sort", "size", "src"}).out, MatchesRegex("fresh  +[0-9]+ B  /.*a\\.py .*\n"));
  EXPECT_THAT(kiln({"list", "--sort", "time", "src"}).out,
              MatchesRegex("fresh  +20[0-9-]+ [0-9]+:[0-9]+  /.*a\\.py .*\n"));
}

TEST_F(Commands, BytecodeInItsSourcesPlaceIsNotRemovedAsAnOrphan) {
  write_file(work_dir() + "/sl/s.py", "print('deployed')\n");
  const std::string pyc = work_dir() + "/sl/s.pyc";
  kiln({"precompile", "--python", any_python().path, "--legacy", "sl"});
  fs::remove(work_dir() + "/sl/s.py");
  EXPECT_THAT(kiln({"list", "--state", "orphan", "sl"}).out, StartsWith("orphan  "));
  const Outcome outcome = kiln({"clean", "--orphans", "sl"});
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "there was nothing to remove\n");
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
  EXPECT_EQ(python_output(any_python(), "import sys; sys.path.insert(0, 'sl'); import s"), "deployed\n");
}

TEST_F(Commands, OutputThatCannotBeWrittenIsAnError) {
  for (int i = 0; i < 100; ++i) write_file(work_dir() + "/src/m" + std::to_string(i) + ".py", "x = 1\n");
  kiln({"precompile", "--python", any_python().path, "src"});
  const std::string pyc =
      work_dir() + "/src/__pycache__/m1.cpython-3" + std::to_string(any_python().minor) + ".pyc";
  const std::vector<std::vector<std::string>> commands{{"list", "src"},
                                                       {"list", "--json", "src"},  // more than is buffered
                                                       {"precompile", "--json", "src"},
                                                       {"inspect", pyc},
                                                       {"inspect", "--dis", pyc},
                                                       {"status"},
                                                       {"config", "--describe"},
                                                       {"config", "--help"},
                                                       {"daemon", "logs"},
                                                       {"--version"},
                                                       {"--help"}};
  for (const auto& command : commands) {
    Invocation invocation{.argv = {kiln_binary()}, .out = Stream::full};
    invocation.argv.insert(invocation.argv.end(), command.begin(), command.end());
    const std::string what = testing::PrintToString(command);
    const auto expect_error = [&](const std::string& why) {
      const Outcome outcome = run(invocation);
      EXPECT_THAT(outcome.err, testing::EndsWith("error: cannot write to standard output: " + why + "\n"))
          << what;
      EXPECT_EQ(describe_status(outcome.status), "exit 3") << what;
    };
    expect_error("No space left on device\n\nhint: df -h /dev/full");
    std::string again = "kiln";
    for (const auto& word : command) again += " " + word;
    invocation.out = Stream::closed;
    expect_error("Bad file descriptor\n\nhint: " + again + " > /dev/null");
    invocation.out = Stream::broken_pipe;
    const Outcome unread = run(invocation);
    EXPECT_THAT(unread.err, testing::Not(testing::HasSubstr("error"))) << what;
    EXPECT_EQ(describe_status(unread.status), "signal 13") << what << ": as others end before head(1)";
    invocation.in_child = [] { std::signal(SIGPIPE, SIG_IGN); };
    expect_error("Broken pipe");
  }
}

TEST_F(Commands, ListShowsControlCharactersAsTheyAreWritten) {
  const std::string name = std::string("src/a\x1b[31m\nb") + ".py";
  write_file(work_dir() + "/" + name, "x = 1\n");
  kiln({"precompile", "--quiet", "--python", any_python().path, name});
  const Outcome listed = kiln({"list", "src"});
  EXPECT_THAT(listed.out, HasSubstr("src/a\\x1b[31m\\x0ab.py")) << listed.out;
  EXPECT_EQ(listed.out.find('\x1b'), std::string::npos);
}

// That it is not read shows where there is no memory for it.
TEST_F(Commands, InspectDoesNotReadWhatIsTooLarge) {
  write_file(work_dir() + "/huge.pyc", "");
  fs::resize_file(work_dir() + "/huge.pyc", std::uintmax_t{5} << 30);
  const Outcome outcome = run({.argv = {kiln_binary(), "inspect", "huge.pyc"}, .in_child = [] {
                                 const rlimit tight{rlim_t{256} << 20, rlim_t{256} << 20};
                                 ::setrlimit(RLIMIT_AS, &tight);
                               }});
  EXPECT_EQ(outcome.err, "error: huge.pyc is too large\n\nhint: kiln inspect --help\n");
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
}

// Waits until PATH exists, whose directory does; false at the deadline.
bool await_file(const std::string& path) {
  const UniqueFd events{::inotify_init1(IN_CLOEXEC)};
  const std::string directory = fs::path(path).parent_path();
  EXPECT_GE(::inotify_add_watch(events.get(), directory.c_str(), IN_MOVED_TO), 0);
  while (!fs::exists(path)) {
    pollfd readable{events.get(), POLLIN, 0};
    if (::poll(&readable, 1, kDeadlineMs) <= 0) return false;
    char buffer[4096];
    if (::read(events.get(), buffer, sizeof buffer) < 0) return false;
  }
  return true;
}

// Each time the command is the moment at which the daemon notices: it does the rest by itself.
TEST_F(Commands, AMovedLinkHasItsEntriesCompiled) {
  const auto& pythons = interpreters();
  const auto other =
      std::ranges::find_if(pythons, [](const Python& python) { return python.minor != any_python().minor; });
  if (other == pythons.end()) GTEST_SKIP() << "one version of Python only";
  const std::string link = work_dir() + "/bin/python";
  fs::create_directories(work_dir() + "/bin");
  const auto link_to = [&](const Python& python) {
    fs::remove(link);
    fs::create_symlink(python.path, link);
  };
  const auto pyc = [](const std::string& tree, const Python& python) {
    return work_dir() + "/" + tree + "/__pycache__/m.cpython-3" + std::to_string(python.minor) + ".pyc";
  };
  write_file(work_dir() + "/a/m.py", "x = 1\n");
  write_file(work_dir() + "/b/m.py", "x = 2\n");
  link_to(any_python());
  EXPECT_EQ(describe_status(kiln({"precompile", "--python", link, "a", "b"}).status), "exit 0");
  const std::string before = read_file(pyc("a", any_python()));
  link_to(*other);
  kiln({"list", "a"});
  EXPECT_TRUE(await_file(pyc("a", *other)));
  EXPECT_TRUE(await_file(pyc("b", *other)));
  EXPECT_EQ(read_file(pyc("a", any_python())), before);

  kiln({"daemon", "stop"});
  fs::remove(pyc("b", any_python()));
  link_to(any_python());
  kiln({"daemon", "start"});
  EXPECT_TRUE(await_file(pyc("b", any_python())));
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
INSTANTIATE_TEST_SUITE_P(Each, Inspect, testing::ValuesIn(interpreters()), python_name);
INSTANTIATE_TEST_SUITE_P(Each, Precompile, testing::ValuesIn(interpreters()), python_name);

}  // namespace
}  // namespace kiln::e2e
