// Trees that the user cannot write: their bytecode is kept in Kiln's overlay, and a run that reads it is the
// same.
//
// That it was read is proved by planting: the overlay gets bytecode that prints something else than its
// source.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <functional>

#include "common/overlay.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/unwritable_tree.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::HasSubstr;

constexpr char kMain[] = "import util\nprint(util.VALUE, util.__cached__, util.__spec__.cached)\n";
constexpr char kUtil[] = "VALUE = 'source'\n";

// The daemon may still be filling it for the run before.
void remove_overlay() {
  ASSERT_TRUE(await([] {
    std::error_code failed;
    fs::remove_all(overlay_dir(cache_dir()), failed);
    return !failed;
  }));
}

class Overlay : public testing::TestWithParam<Python> {
 protected:
  void SetUp() override {
    if (!tree_.works()) GTEST_SKIP() << "no tree can be made that this user cannot write";
    remove_overlay();
    tree_.write("main.py", kMain);
    tree_.write("util.py", kUtil);
  }

  const Python& python() const { return GetParam(); }

  std::string tag() const { return "cpython-3" + std::to_string(python().minor); }

  // Where the tree, and the overlay, keep the bytecode of module NAME.
  std::string pyc_name(const std::string& name, const std::string& optimization = "") const {
    return "__pycache__/" + name + "." + tag() + optimization + ".pyc";
  }
  std::string kept(const std::string& name, const std::string& optimization = "") const {
    return overlay_path(overlay_dir(cache_dir()), tree_ / pyc_name(name, optimization));
  }

  // `kiln run ARGUMENTS`, by a bare image: others have read their bytecode already.
  Outcome run_kiln(const std::vector<std::string>& arguments, std::vector<std::string> changes = {}) {
    changes.push_back("KILN_IMAGES_PROGRAMS=false");
    std::vector<std::string> warm_up;
    while (warm_up.size() < arguments.size() && arguments[warm_up.size()].starts_with('-') &&
           arguments[warm_up.size()] != "-c" && arguments[warm_up.size()] != "-m") {
      warm_up.push_back(arguments[warm_up.size()]);
    }
    warm_up.insert(warm_up.end(), {"-c", "pass"});
    const LogLine warmed = run_until_bare(python(), warm_up, environment_with(changes));
    EXPECT_TRUE(warmed.is_served()) << warmed.reason;
    Invocation invocation{.argv = {kiln_binary(), "run", "--python", python().path},
                          .environment = environment_with(changes),
                          .cwd = "/"};
    invocation.argv.insert(invocation.argv.end(), arguments.begin(), arguments.end());
    Outcome outcome = run(invocation);
    EXPECT_TRUE(take_log_line(outcome.err).is_served());
    return outcome;
  }

  Outcome run_python(const std::vector<std::string>& arguments,
                     const std::vector<std::string>& changes = {}) {
    Invocation invocation{.argv = {python().path}, .environment = environment_with(changes), .cwd = "/"};
    invocation.argv.insert(invocation.argv.end(), arguments.begin(), arguments.end());
    return run(invocation);
  }

  // Both, which must not differ. Kiln's.
  Outcome compare(const std::vector<std::string>& arguments, const std::vector<std::string>& changes = {}) {
    const Outcome expected = run_python(arguments, changes);
    const Outcome outcome = run_kiln(arguments, changes);
    EXPECT_EQ(outcome.out, expected.out);
    EXPECT_EQ(outcome.err, expected.err);
    EXPECT_EQ(describe_status(outcome.status), describe_status(expected.status));
    return outcome;
  }

  bool await_kept(const std::string& name, const std::string& optimization = "") const {
    return await([&] { return fs::exists(kept(name, optimization)); });
  }

  // Puts the bytecode of PLANTED into FILE, of the tree or anywhere, as if it were that of module NAME. KIND
  // is its header's: fresh or stale, or hash, as the overlay has it.
  void plant(const std::string& file, const std::string& name, const std::string& kind = "hash",
             const std::string& planted = "VALUE = 'planted'") {
    const std::string source = tree_ / (name + ".py");
    const std::string code =
        "import importlib.util, importlib._bootstrap_external as external, os\n"
        "source = open('" +
        source +
        "', 'rb').read()\n"
        "code = compile(\"" +
        planted + "\", '" + source +
        "', 'exec')\n"
        "status = os.stat('" +
        source +
        "')\n"
        "if '" +
        kind +
        "' == 'hash':\n"
        "    data = external._code_to_hash_pyc(code, importlib.util.source_hash(source), True)\n"
        "    data += importlib.util.source_hash(data)  # the seal\n"
        "elif '" +
        kind +
        "' == 'stale':\n"
        "    data = external._code_to_timestamp_pyc(code, int(status.st_mtime) - 1, len(source))\n"
        "else:\n"
        "    data = external._code_to_timestamp_pyc(code, int(status.st_mtime), len(source))\n"
        "open(1, 'wb').write(data)\n";
    const std::string data = python_output(python(), code);
    ASSERT_GT(data.size(), 16U);
    if (file.starts_with('/')) {
      write_file(file, data);
      ::chmod(overlay_dir(cache_dir()).c_str(), 0700);
    } else {
      tree_.write(file, data);
    }
  }

  void plant_in_overlay() { plant(kept("util"), "util"); }

  std::string value(const std::vector<std::string>& arguments = {},
                    const std::vector<std::string>& changes = {}) {
    std::vector<std::string> all = arguments;
    all.push_back(tree_ / "main.py");
    const Outcome outcome = run_kiln(all, changes);
    EXPECT_EQ(outcome.err, "");
    return outcome.out.substr(0, outcome.out.find(' '));
  }

  UnwritableTree tree_;
};

TEST_P(Overlay, KeepsWhatTheTreeCannot) {
  const auto before = snapshot(tree_ / "");
  compare({tree_ / "main.py"});
  ASSERT_TRUE(await_kept("util"));
  EXPECT_EQ(snapshot(tree_ / ""), before);
  compare({tree_ / "main.py"});
  plant_in_overlay();
  EXPECT_EQ(value(), "planted");
  EXPECT_EQ(snapshot(tree_ / ""), before);
}

TEST_P(Overlay, PrecompilingSaysWhatDoesNotCompileAndWaitsForTheRest) {
  tree_.write("bad.py", "def f(:\n");
  Outcome outcome = kiln({"precompile", "--python", python().path, tree_ / ""});
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_THAT(outcome.err, HasSubstr("bad.py:1"));
  EXPECT_TRUE(fs::exists(kept("util")));
  EXPECT_TRUE(fs::exists(kept("main")));
  EXPECT_FALSE(fs::exists(kept("bad")));
  outcome = kiln({"precompile", "--check", "--python", python().path, tree_ / "util.py"});
  EXPECT_EQ(describe_status(outcome.status), "exit 0") << outcome.out << outcome.err;
}

TEST_P(Overlay, PrecompilingFailsWhereItCannotBe) {
  const std::string overlay = overlay_dir(cache_dir());
  write_file(overlay, "");
  const std::vector<std::string> precompile{"precompile", "--python", python().path, tree_ / "util.py"};
  for (int time = 0; time < 2; ++time) {  // nor is it taken for done afterwards
    const Outcome outcome = kiln(precompile);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "error: cannot fill the overlay: cannot open " + overlay +
                               ": Not a directory\n\nhint: mv " + overlay + " " + overlay + ".aside\n");
    EXPECT_EQ(describe_status(outcome.status), "exit 3");
  }
  fs::remove(overlay);
  EXPECT_EQ(describe_status(kiln(precompile).status), "exit 0");
  EXPECT_TRUE(fs::exists(kept("util")));
}

TEST_P(Overlay, AnOrphanIsToldOnceAndThenRemoved) {
  const std::string source = tree_ / "goes.py";
  tree_.write("goes.py", "x = 1\n");
  kiln({"precompile", "--python", python().path, source});
  tree_.remove("goes.py");
  EXPECT_EQ(kiln({"clean", "--orphans", "--dry-run", source}).out, "would remove " + kept("goes") + "\n");
  EXPECT_TRUE(fs::exists(kept("goes")));
  EXPECT_EQ(kiln({"clean", "--orphans", source}).out, "removed " + kept("goes") + "\n");
  EXPECT_FALSE(fs::exists(kept("goes")));
}

TEST_P(Overlay, AnEditIsSeenAtOnceWhateverItsTime) {
  plant_in_overlay();
  EXPECT_EQ(value(), "planted");
  tree_.replace("util.py", "VALUE = 'edited'\n");  // as long, and as old
  EXPECT_EQ(value(), "edited");
  plant(kept("other"), "util");  // how it should begin
  const auto header = read_file(kept("other")).substr(0, 16);
  EXPECT_TRUE(await([&] { return read_file(kept("util")).starts_with(header); }));
  EXPECT_EQ(value(), "edited");
}

TEST_P(Overlay, FreshBytecodeInTheTreeWins) {
  plant_in_overlay();
  plant(pyc_name("util"), "util", "fresh", "VALUE = 'tree'");
  EXPECT_EQ(value(), "tree");
  compare({tree_ / "main.py"});
}

TEST_P(Overlay, StaleBytecodeInTheTreeDoesNot) {
  plant_in_overlay();
  plant(pyc_name("util"), "util", "stale");
  EXPECT_EQ(value(), "planted");
  for (const char* damage : {"", "short", "\x01\x02\x03\x04 another magic number"}) {
    tree_.write(pyc_name("util"), damage);
    EXPECT_EQ(value(), "planted");
  }
}

TEST_P(Overlay, DamageIsNotHandedOn) {
  plant_in_overlay();
  const std::string whole = read_file(kept("util"));
  for (const std::size_t size : {std::size_t{0}, std::size_t{15}, std::size_t{16}, whole.size() - 1}) {
    const std::string damaged = whole.substr(0, size);
    write_file(kept("util"), damaged);
    compare({tree_ / "main.py"});
    EXPECT_TRUE(await([&] { return read_file(kept("util")) != damaged; })) << "not made anew";
  }
  // Of code that is whole as far as its lengths tell: its argument count, its text, the seal.
  for (const std::size_t at : {std::size_t{20}, whole.find("planted"), whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] ^= 0x40;
    write_file(kept("util"), damaged);
    compare({tree_ / "main.py"});
    EXPECT_TRUE(await([&] { return read_file(kept("util")) != damaged; })) << "not made anew: " << at;
  }
}

TEST_P(Overlay, DamageIsNotFresh) {
  compare({tree_ / "main.py"});
  ASSERT_TRUE(await_kept("util"));
  const std::string whole = read_file(kept("util"));
  const std::vector<std::string> check{"precompile", "--python", python().path, "--check", tree_ / "util.py"};
  const auto is_listed_as_stale = [&] {
    const auto listed = kiln({"list", "--json", "--state", "stale", tree_ / "util.py"}).out;
    return listed.find(kept("util")) != std::string::npos;
  };
  EXPECT_EQ(describe_status(kiln(check).status), "exit 0");
  EXPECT_FALSE(is_listed_as_stale());
  std::string damaged = whole;
  damaged[20] ^= 0x40;
  write_file(kept("util"), damaged);
  EXPECT_EQ(describe_status(kiln(check).status), "exit 1");
  EXPECT_TRUE(is_listed_as_stale());
  kiln({"precompile", "--python", python().path, tree_ / "util.py"});
  EXPECT_TRUE(await([&] { return read_file(kept("util")) == whole; }));
  EXPECT_EQ(describe_status(kiln(check).status), "exit 0");
  EXPECT_FALSE(is_listed_as_stale());
}

TEST_P(Overlay, OfTheLevelOfTheRun) {
  compare({"-O", tree_ / "main.py"});
  ASSERT_TRUE(await_kept("util", ".opt-1"));
  EXPECT_FALSE(fs::exists(kept("util")));
  compare({"-O", tree_ / "main.py"});
}

TEST_P(Overlay, OfAModuleThatIsTheProgram) {
  const std::vector<std::string> changes{"PYTHONPATH=" + (tree_ / "")};
  compare({"-m", "main"}, changes);
  ASSERT_TRUE(await_kept("main"));
  compare({"-m", "main"}, changes);
  plant(kept("main"), "main", "hash", "print(5)");
  EXPECT_EQ(run_kiln({"-m", "main"}, changes).out, "5\n");
}

TEST_P(Overlay, IsOnlyReadWhereNothingMayBeWritten) {
  plant_in_overlay();
  EXPECT_EQ(value({"-B"}), "planted");
  EXPECT_EQ(value({}, {"PYTHONDONTWRITEBYTECODE=1"}), "planted");
  remove_overlay();
  compare({"-B", tree_ / "main.py"});
  tree_.write("fence.py", "import os, later\nos._exit(3)\n");  // a program that ends like this is heard, too
  tree_.write("later.py", "");
  compare({tree_ / "fence.py"});
  ASSERT_TRUE(await_kept("later"));
  EXPECT_FALSE(fs::exists(kept("util")));
}

TEST_P(Overlay, NotWhereBytecodeHasAnotherPlace) {
  plant_in_overlay();
  const std::string prefix = "PYTHONPYCACHEPREFIX=" + home_dir() + "/prefix";
  EXPECT_EQ(value({}, {prefix}), "source");
  fs::remove_all(home_dir() + "/prefix");
}

TEST_P(Overlay, NotForATreeThatCanBeWritten) {
  reset_work_dir();
  write_file(work_dir() + "/main.py", kMain);
  write_file(work_dir() + "/util.py", kUtil);
  const std::string pyc = work_dir() + "/" + pyc_name("util");
  plant(overlay_path(overlay_dir(cache_dir()), pyc), "util");
  EXPECT_THAT(run_kiln({work_dir() + "/main.py"}).out, HasSubstr("source"));
  EXPECT_TRUE(fs::exists(pyc));
}

TEST_P(Overlay, WarningsAndErrorsComeEveryTime) {
  tree_.write("warns.py", "x = '\\d'\n");
  tree_.write("bad.py", "x = (\n");
  tree_.write("main.py",
              "import util, warns\ntry:\n    import bad\nexcept SyntaxError as error:\n    print(error)\n");
  for (int i = 0; i < 3; ++i) {
    compare({tree_ / "main.py"});
    compare({"-Wdefault", tree_ / "main.py"});
    ASSERT_TRUE(await_kept("util"));
  }
  EXPECT_FALSE(fs::exists(kept("warns")));
  EXPECT_FALSE(fs::exists(kept("bad")));
}

TEST_P(Overlay, OthersMakeOfASourceWhatTheyLike) {
  tree_.write("main.py",
              "import importlib.machinery, importlib.util, sys\n"
              "class Loader(importlib.machinery.SourceFileLoader):\n"
              "    def source_to_code(self, data, path, *, _optimization=-1):\n"
              "        return super().source_to_code(data.replace(b'source', b'changed'), path)\n"
              "path = sys.path[0] + '/util.py'\n"
              "spec = importlib.util.spec_from_file_location('util', path, loader=Loader('util', path))\n"
              "module = importlib.util.module_from_spec(spec)\n"
              "spec.loader.exec_module(module)\n"
              "print(module.VALUE)\n"
              "try:\n"
              "    print(importlib.machinery.SourceFileLoader('util', path).get_data(module.__cached__))\n"
              "except OSError as error:\n"
              "    print(error)\n"
              "import builtins\n"
              "compile = builtins.compile\n"
              "builtins.compile = lambda *args, **names: compile('VALUE = 5', *args[1:], **names)\n"
              "import util\n"
              "print(util.VALUE)\n");
  plant_in_overlay();
  compare({tree_ / "main.py"});
}

// What a hook of the program's sees is what it sees where the bytecode is in its place.
TEST_P(Overlay, AuditsAsIfItWereInItsPlace) {
  tree_.write("main.py",
              "import sys\n"
              "def hook(event, arguments):\n"
              "    if event in ('open', 'compile', 'setopencodehook', 'exec', 'import'):\n"
              "        print(event, arguments[:3] if event == 'open' else arguments[:1])\n"
              "sys.addaudithook(hook)\n"
              "import util\n");
  plant_in_overlay();
  const Outcome outcome = run_kiln({tree_ / "main.py"});
  plant(pyc_name("util"), "util", "fresh");
  const Outcome expected = run_python({tree_ / "main.py"});
  const auto without_addresses = [](std::string text) {
    for (std::size_t at = 0; (at = text.find(" at 0x", at)) != std::string::npos;) {
      text.erase(at, text.find_first_of(",>", at) - at);
    }
    return text;
  };
  EXPECT_EQ(without_addresses(outcome.out), without_addresses(expected.out));
  EXPECT_THAT(outcome.out, HasSubstr("open"));
}

TEST_P(Overlay, ForksAndThreadsOfTheProgramMayImport) {
  tree_.write("main.py",
              "import os, threading\n"
              "def work():\n"
              "    import util\n"
              "    print(util.VALUE, flush=True)\n"
              "child = os.fork()\n"
              "if child == 0:\n"
              "    work()\n"
              "    os._exit(0)\n"
              "print(os.waitpid(child, 0)[1])\n"
              "thread = threading.Thread(target=work)\n"
              "thread.start()\n"
              "thread.join()\n");
  compare({tree_ / "main.py"});
  ASSERT_TRUE(await_kept("util"));
  plant_in_overlay();
  EXPECT_EQ(run_kiln({tree_ / "main.py"}).out, "planted\n0\nplanted\n");
}

TEST_P(Overlay, FilesHaveTheModeOfTheRunsUmask) {
  run_kiln({tree_ / "main.py"});
  ASSERT_TRUE(await_kept("util"));
  struct stat status {};
  ASSERT_EQ(::stat(kept("util").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644U);  // the harness has 022
  ASSERT_EQ(::stat(overlay_dir(cache_dir()).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
}

INSTANTIATE_TEST_SUITE_P(Pythons, Overlay, testing::ValuesIn(interpreters()),
                         [](const testing::TestParamInfo<Python>& info) { return info.param.name; });

}  // namespace
}  // namespace kiln::e2e
