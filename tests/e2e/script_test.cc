// Main scripts: their compiled code is kept by Kiln, never in a __pycache__, and a run that uses it is the
// same.
//
// That it was used is proved by planting: the kept code is that of another text than the script's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <functional>

#include "common/overlay.h"
#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

// Long enough to be kept, and it shows all that tells compiled from kept code: names of files, lines,
// constants.
constexpr char kScript[] =
    "import sys, traceback\n"
    "\n"
    "VALUE = 'source'\n"
    "\n"
    "def outer():\n"
    "    'A docstring.'\n"
    "    def inner(number=12345678901234567890):\n"
    "        return [number for _ in range(2)], (lambda: 1 / 0), frozenset([1, 2, 3]), b'bytes', 1.5j\n"
    "    return inner\n"
    "\n"
    "class Thing:\n"
    "    def __init__(self):\n"
    "        self.value = VALUE\n"
    "\n"
    "print(__file__, __cached__, __name__, __doc__, Thing().value, outer.__doc__)\n"
    "print(outer.__code__.co_filename, outer().__code__.co_filename, outer()()[1].__code__.co_filename)\n"
    "print(outer()()[0], outer.__code__.co_firstlineno, outer().__code__.co_consts is "
    "outer().__code__.co_consts)\n"
    "print(sys._getframe().f_code.co_filename, sys._getframe().f_code.co_name)\n"
    "try:\n"
    "    outer()()[1]()\n"
    "except ZeroDivisionError:\n"
    "    traceback.print_exc()\n"
    "outer()()[1]()\n";

class Script : public testing::TestWithParam<Python> {
 protected:
  void SetUp() override {
    reset_work_dir();
    // The daemon may be writing there, for the run before.
    EXPECT_TRUE(await([] {
      std::error_code failed;
      fs::remove_all(overlay_dir(cache_dir()), failed);
      return !failed;
    }));
    write_file(script(), kScript);
  }

  const Python& python() const { return GetParam(); }
  // Of each test its own: the daemon may still be about to keep that of the one before.
  static std::string name() {
    const std::string test = testing::UnitTest::GetInstance()->current_test_info()->name();
    return test.substr(0, test.find('/'));
  }
  static std::string script() { return work_dir() + "/" + name() + ".py"; }

  std::string kept(const std::string& optimization = "") const {
    const std::string pyc = name() + ".cpython-3" + std::to_string(python().minor) + optimization + ".pyc";
    return overlay_path(overlay_dir(cache_dir()), fs::canonical(work_dir()).string() + "/__pycache__/" + pyc);
  }

  Outcome run_kiln(const std::vector<std::string>& arguments, bool served = true) {
    Outcome outcome = run_in_work_dir(kiln_command(), arguments);
    EXPECT_EQ(take_log_line(outcome.err).is_served(), served);
    return outcome;
  }

  // Both, which must not differ. Kiln's.
  Outcome compare(const std::vector<std::string>& arguments, bool served = true) {
    const Outcome expected = run_in_work_dir({python().path}, arguments);
    const Outcome outcome = run_kiln(arguments, served);
    EXPECT_EQ(outcome.out, expected.out);
    EXPECT_EQ(outcome.err, expected.err);
    EXPECT_EQ(describe_status(outcome.status), describe_status(expected.status));
    return outcome;
  }

  void await_image(const std::vector<std::string>& options = {}) {
    std::vector<std::string> arguments = options;
    arguments.insert(arguments.end(), {"-c", "pass"});
    EXPECT_TRUE(run_until_bare(python(), arguments, environment_with({})).is_served());
  }

  bool await_kept(const std::string& optimization = "") const {
    return await([&] { return fs::exists(kept(optimization)); });
  }

  // Has the kept code be that of the script with PLANTED in the place of "source".
  void plant() {
    const std::string data = python_output(
        python(),
        "import importlib.util, importlib._bootstrap_external as external\n"
        "source = open('" +
            script() +
            "', 'rb').read()\n"
            "code = compile(source.replace(b\"'source'\", b\"'planted'\"), '" +
            script() +
            "', 'exec')\n"
            "data = external._code_to_hash_pyc(code, importlib.util.source_hash(source), True)\n"
            "open(1, 'wb').write(data + importlib.util.source_hash(data))\n");
    ASSERT_GT(data.size(), 16U);
    write_file(kept(), data);
    ::chmod(overlay_dir(cache_dir()).c_str(), 0700);
  }

 private:
  std::vector<std::string> kiln_command() const { return {kiln_binary(), "run", "--python", python().path}; }

  static Outcome run_in_work_dir(std::vector<std::string> argv, const std::vector<std::string>& arguments) {
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    // By a bare image: others have compiled their script already.
    return run({.argv = std::move(argv),
                .environment = environment_with({"KILN_LOG=1", "KILN_IMAGES_PROGRAMS=false"})});
  }
};

TEST_P(Script, IsKeptButNotInItsTree) {
  await_image();
  const auto before = snapshot(work_dir());
  compare({script()});
  ASSERT_TRUE(await_kept());
  EXPECT_EQ(snapshot(work_dir()), before);
  compare({script()});
  plant();
  EXPECT_THAT(run_kiln({script()}).out, testing::HasSubstr("planted"));
  EXPECT_EQ(snapshot(work_dir()), before);
}

// The order of a set's members may be another in code that was kept.
TEST_P(Script, WithASetIsCompiled) {
  write_file(script(), std::string(kScript) + "print(1 in {1, 2, 3})\n");
  await_image();
  compare({script()});
  ASSERT_TRUE(await_kept());
  plant();
  compare({script()});
}

TEST_P(Script, HoweverItIsSpelled) {
  await_image();
  fs::create_directory(work_dir() + "/d");
  fs::create_symlink(script(), work_dir() + "/d/link.py");
  const std::string file = name() + ".py";
  const std::vector<std::string> spellings{script(), file, "./" + file, "d/../" + file, "d/link.py"};
  for (const auto& spelling : spellings) compare({spelling});
  compare({script()});
  ASSERT_TRUE(await_kept());
  for (const auto& spelling : spellings) compare({spelling, "argument"});
}

TEST_P(Script, AnEditIsSeenAtOnceWhateverItsTime) {
  await_image();
  plant();
  const auto time = fs::last_write_time(script());
  std::string edited = kScript;
  edited.replace(edited.find("source"), 6, "edited");
  write_file(script(), edited);
  fs::last_write_time(script(), time);
  EXPECT_THAT(compare({script()}).out, testing::HasSubstr("edited"));
}

TEST_P(Script, DamageIsNotUsed) {
  await_image();
  compare({script()});
  ASSERT_TRUE(await_kept());
  const std::string whole = read_file(kept());
  for (const std::size_t size : {std::size_t{0}, std::size_t{15}, std::size_t{16}, whole.size() - 1}) {
    const std::string damaged = whole.substr(0, size);
    write_file(kept(), damaged);
    compare({script()});
    EXPECT_TRUE(await([&] { return read_file(kept()) == whole; })) << "not made anew";
  }
  // Of code that is whole as far as its lengths tell: its argument count, its text, the seal.
  for (const std::size_t at : {std::size_t{20}, whole.find("A docstring"), whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] ^= 0x40;
    write_file(kept(), damaged);
    compare({script()});
    EXPECT_TRUE(await([&] { return read_file(kept()) == whole; })) << "not made anew: " << at;
  }
}

TEST_P(Script, OfTheLevelOfTheRun) {
  await_image({"-O"});
  compare({"-O", script()});
  ASSERT_TRUE(await_kept(".opt-1"));
  EXPECT_FALSE(fs::exists(kept()));
  compare({"-O", script()});
}

TEST_P(Script, NotWhereNothingMayBeWritten) {
  await_image({"-B"});
  compare({"-B", script()});
  await_image();
  write_file(work_dir() + "/other.py", kScript);
  compare({"other.py"});
  ASSERT_TRUE(await([&] { return fs::exists(fs::path(kept()).parent_path()); }));
  EXPECT_FALSE(fs::exists(kept()));
}

TEST_P(Script, WarningsAndErrorsComeEveryTime) {
  await_image();
  write_file(work_dir() + "/warns.py", std::string(kScript) + "print(VALUE is 'x')\n");
  write_file(work_dir() + "/hidden.py", std::string(kScript) + "x = '\\d'\n");
  write_file(work_dir() + "/bad.py", std::string(kScript) + "x = (\n");
  for (int i = 0; i < 3; ++i) {
    compare({"warns.py"}, false);
    compare({"bad.py"}, false);
    compare({"hidden.py"},
            python().minor < 12);  // a DeprecationWarning, not shown, up to 3.11
    compare({script()});
    ASSERT_TRUE(await_kept());
  }
  for (const auto& entry : fs::directory_iterator(fs::path(kept()).parent_path())) {
    const std::string file = entry.path().filename();
    for (const char* unkept : {"warns.", "hidden.", "bad."}) EXPECT_FALSE(file.starts_with(unkept)) << file;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Script, testing::ValuesIn(interpreters()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace kiln::e2e
