// An edit followed at once by a run: the run never sees old code, also where Python itself would, because
// time (in whole seconds) and size of the source are as they were.
//
// KILN_TEST_ALL=1 makes 10,000 edits of each kind, with one interpreter; the suite makes a few with each.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

int edits() {
  return std::getenv("KILN_TEST_ALL") != nullptr ? 10'000 : 12;
}

std::vector<Python> tried_interpreters() {
  return std::getenv("KILN_TEST_ALL") != nullptr ? std::vector<Python>{any_python()} : interpreters();
}

class Freshness : public testing::TestWithParam<Python> {
 protected:
  void SetUp() override {
    reset_work_dir();
    fs::create_directory(project());
    write_file(project() + "/main.py", "import module\nprint(module.VERSION)\n");
    fs::create_directory(work_dir() + "/elsewhere");
  }

  static std::string project() { return work_dir() + "/project"; }
  static std::string module() { return project() + "/module.py"; }
  static std::string elsewhere(const std::string& name) { return work_dir() + "/elsewhere/" + name; }

  // Of one size, whatever VERSION; and all versions have one time.
  static void write_version(const std::string& path, int version) {
    write_file(path, "VERSION = " + std::to_string(100'000 + version) + "\n");
    set_time(path);
  }

  static void set_time(const std::string& path) {
    const timespec times[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0) << path;
  }

  // Runs after each EDIT; each prints its own version.
  void expect_no_old_code(const std::function<void(int version)>& edit) {
    edit(0);
    const std::vector<std::string> arguments{project() + "/main.py"};
    ASSERT_TRUE(run_until_bare(GetParam(), arguments, environment_with({})).is_served());
    int served = 0;
    for (int version = 1; version <= edits(); ++version) {
      edit(version);
      Outcome outcome = run({.argv = {kiln_binary(), "run", "--python", GetParam().path, arguments[0]},
                             .environment = environment_with({"KILN_LOG=1"})});
      served += take_log_line(outcome.err).is_served() ? 1 : 0;
      ASSERT_EQ(outcome.out, std::to_string(100'000 + version) + "\n") << outcome.err;
    }
    EXPECT_EQ(served, edits());
  }
};

TEST_P(Freshness, WrittenInPlaceWithinTheSecond) {
  expect_no_old_code(
      [](int version) { write_file(module(), "VERSION = " + std::to_string(100'000 + version) + "\n"); });
}

TEST_P(Freshness, WrittenInPlaceAndTheTimeSetBack) {
  expect_no_old_code([](int version) { write_version(module(), version); });
}

TEST_P(Freshness, RenamedOver) {
  expect_no_old_code([](int version) {
    write_version(elsewhere("next"), version);
    fs::rename(elsewhere("next"), module());
  });
}

TEST_P(Freshness, ThroughAHardLinkInAnotherDirectory) {
  write_version(elsewhere("link.py"), 0);
  fs::create_hard_link(elsewhere("link.py"), module());
  expect_no_old_code([](int version) { write_version(elsewhere("link.py"), version); });
}

TEST_P(Freshness, ThroughASymlinkedModule) {
  write_version(elsewhere("target.py"), 0);
  fs::create_symlink(elsewhere("target.py"), module());
  expect_no_old_code([](int version) { write_version(elsewhere("target.py"), version); });
}

TEST_P(Freshness, ASymlinkThatIsTurned) {
  expect_no_old_code([](int version) {
    const std::string target = elsewhere(std::to_string(version) + ".py");
    write_version(target, version);
    fs::create_symlink(target, elsewhere("next"));
    fs::rename(elsewhere("next"), module());
  });
}

TEST_P(Freshness, TheProjectIsSwappedByRename) {
  expect_no_old_code([](int version) {
    const std::string next = work_dir() + "/next";
    fs::copy(project(), next, fs::copy_options::recursive);
    write_version(next + "/module.py", version);
    fs::rename(project(), work_dir() + "/former");
    fs::rename(next, project());
    fs::remove_all(work_dir() + "/former");
  });
}

// Who writes no bytecode still reads it, and the daemon's may be of a moment ago.
TEST_P(Freshness, OfRunsThatWriteNone) {
  write_version(module(), 0);
  const std::string script = project() + "/main.py";
  ASSERT_TRUE(run_until_bare(GetParam(), {"-B", script}, environment_with({})).is_served());
  for (int version = 1; version <= edits(); ++version) {
    write_version(module(), version);
    run({.argv = {GetParam().path, "-m", "compileall", "-q", "-f", project()}});
    write_version(module(), version + 50'000);
    const Outcome outcome = run({.argv = {kiln_binary(), "run", "--python", GetParam().path, "-B", script}});
    ASSERT_EQ(outcome.out, std::to_string(150'000 + version) + "\n") << outcome.err;
  }
}

TEST_P(Freshness, OfBytecodeBelowAPrefix) {
  write_version(module(), 0);
  const std::vector<std::string> environment =
      environment_with({"PYTHONPYCACHEPREFIX=" + work_dir() + "/prefix"});
  const std::string script = project() + "/main.py";
  ASSERT_TRUE(run_until_bare(GetParam(), {script}, environment).is_served());
  for (int version = 1; version <= edits(); ++version) {
    write_version(module(), version);
    Outcome outcome = run(
        {.argv = {kiln_binary(), "run", "--python", GetParam().path, script}, .environment = environment});
    EXPECT_TRUE(take_log_line(outcome.err).is_served());
    ASSERT_EQ(outcome.out, std::to_string(100'000 + version) + "\n") << outcome.err;
  }
}

// Python itself follows its own rule, so nothing may be left that would mislead it.
TEST_P(Freshness, OfRunsThatAreExecuted) {
  const std::string known = work_dir() + "/known";  // to the index, which keeps what it knows for other tests
  fs::rename(project(), known);
  const std::string script = known + "/main.py";
  write_version(known + "/module.py", 0);
  kiln({"precompile", "--python", GetParam().path, known});
  const auto expect_version = [&](int version, std::vector<std::string> options,
                                  const std::string& variable) {
    write_version(known + "/module.py", version);
    std::vector<std::string> line{kiln_binary(), "run", "--python", GetParam().path};
    line.insert(line.end(), options.begin(), options.end());
    line.push_back(script);
    Outcome outcome = run({.argv = line, .environment = environment_with({"KILN_LOG=1", variable})});
    EXPECT_EQ(take_log_line(outcome.err).mode, "exec");
    EXPECT_EQ(outcome.out, std::to_string(100'000 + version) + "\n") << outcome.err;
  };
  for (int version = 1; version <= edits(); version += 2) {
    expect_version(version, {"-X", "dev"}, "UNUSED=1");            // the client alone decides
    expect_version(version + 1, {}, "KILN_IMAGES_ENABLED=false");  // the daemon does
    // With bytecode of its own, which has no entry.
    expect_version(version + 100, {"-O", "-X", "dev"}, "UNUSED=1");
    expect_version(version + 101, {"-O", "-X", "dev"}, "UNUSED=1");
  }
}

class BusyDaemon : public Freshness {};

// The daemon waits for its index as long as somebody else holds that, longer than it would be waited for if
// it did not say that it lives. (If the list comes later, there is nothing to see.)
TEST_P(BusyDaemon, IsWaitedForByRunsThatAreExecuted) {
  const std::string known = work_dir() + "/known";
  fs::rename(project(), known);
  write_version(known + "/module.py", 0);
  kiln({"precompile", "--python", GetParam().path, known});
  Process holder({.argv = {GetParam().path, "-c",
                           "import sqlite3, sys, time\n"
                           "index = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
                           "index.execute('BEGIN IMMEDIATE')\n"
                           "print('held', flush=True)\n"
                           "time.sleep(3)\n",
                           cache_dir() + "/index.db"}});
  if (!holder.wait_for_output("held")) GTEST_SKIP() << "without sqlite3";
  write_version(known + "/module.py", 1);
  write_file(known + "/main.py", "import module\nprint(module.VERSION)\n#\n");
  Process list({.argv = {kiln_binary(), "list"}});
  const Outcome outcome =
      run({.argv = {kiln_binary(), "run", "--python", GetParam().path, "-X", "dev", known + "/main.py"}});
  EXPECT_EQ(outcome.out, "100001\n") << outcome.err;
  EXPECT_EQ(describe_status(list.finish().status), "exit 0");
}

class StartUpCode : public testing::Test {};

// What the user's own start-up code imports is no exception: neither for the image, which starts anew, nor
// for the run that is executed meanwhile.
TEST_F(StartUpCode, IsNeverOld) {
  fs::remove(home_dir() + "/kiln.toml");  // which says that no imports are recorded
  kiln({"daemon", "restart"});
  const Python python = any_python();
  reset_work_dir();
  const std::vector<std::string> environment = environment_with({"PYTHONUSERBASE=" + work_dir() + "/base"});
  const std::string directory =
      run({.argv = {python.path, "-c", "import site; print(site.getusersitepackages(), end='')"},
           .environment = environment})
          .out;
  fs::create_directories(directory);
  const std::string module = directory + "/usercustomize.py";
  const auto edit = [&](int version) {
    write_file(module, "VERSION = " + std::to_string(100'000 + version) + "\n");
    const timespec times[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, module.c_str(), times, 0), 0);
  };
  const std::vector<std::string> program{"-c", "import usercustomize\nprint(usercustomize.VERSION)"};
  edit(0);
  ASSERT_TRUE(run_until_bare(python, program, environment).is_served());
  for (int version = 1; version <= 5; ++version) {
    edit(version);
    for (int i = 0; i < 4; ++i) {
      std::vector<std::string> line{kiln_binary(), "run", "--python", python.path};
      line.insert(line.end(), program.begin(), program.end());
      const Outcome outcome = run({.argv = line, .environment = environment});
      ASSERT_EQ(outcome.out, std::to_string(100'000 + version) + "\n") << outcome.err << i;
    }
  }
  write_file(home_dir() + "/kiln.toml", "watch.policy = \"none\"\n");
}

class SettledBytecode : public Freshness {
 protected:
  void SetUp() override {
    Freshness::SetUp();
    write_file(project() + "/main.py",
               "import module, os\nprint(module.VERSION, os.stat(module.__cached__).st_ino)\n");
  }

  Outcome run_main() {
    return run({.argv = {kiln_binary(), "run", "--python", GetParam().path, project() + "/main.py"}});
  }

  // Until the bytecode is a second younger than the source every run makes it anew; then none does.
  bool settle() {
    if (!run_until_bare(GetParam(), {project() + "/main.py"}, environment_with({})).is_served()) return false;
    std::string last = run_main().out;
    for (int i = 0, equal = 0; i < 5000; ++i) {
      std::string now = run_main().out;
      equal = now == last ? equal + 1 : 0;
      last = std::move(now);
      if (equal == 3) return true;
    }
    return false;
  }
};

TEST_P(SettledBytecode, IsUsed) {
  write_version(module(), 0);
  EXPECT_TRUE(settle());
}

TEST_P(SettledBytecode, NotForAnotherSourceThatLayReady) {
  write_version(elsewhere("1.py"), 1);
  write_version(elsewhere("2.py"), 2);
  write_version(elsewhere("3.py"), 3);
  fs::create_symlink(elsewhere("1.py"), module());
  fs::create_symlink(elsewhere("2.py"), elsewhere("next"));
  ASSERT_TRUE(settle());
  fs::rename(elsewhere("next"), module());
  EXPECT_EQ(run_main().out.substr(0, 6), "100002");
  ASSERT_TRUE(settle());
  fs::rename(elsewhere("3.py"), module());
  EXPECT_EQ(run_main().out.substr(0, 6), "100003");
}

// The run's import may have written its bytecode within the tick of the clock in which the source changes
// again.
// As on a machine that is so busy that seconds pass between the reading of a source and the writing of its
// bytecode.
TEST_P(Freshness, EditedWhileItWasCompiled) {
  write_file(project() + "/other.py", "");
  write_file(project() + "/main.py",
             "import sys\n"
             "if sys.argv[1:]:\n"
             "  import os, time\n"
             "  from importlib._bootstrap_external import SourceFileLoader\n"
             "  def later(self, path, data, _mode=None, write=SourceFileLoader.set_data):\n"
             "    if 'module' in path:\n"
             "      os.replace(sys.argv[1], sys.argv[2])\n"
             "      time.sleep(1.5)\n"
             "    write(self, path, data, _mode=_mode)\n"
             "  SourceFileLoader.set_data = later\n"
             "import module\nprint(module.VERSION)\n"
             "if len(sys.argv) < 4: import other\n");
  const std::string main = project() + "/main.py";
  ASSERT_TRUE(run_until_bare(GetParam(), {"-c", "pass"}, environment_with({})).is_served());
  for (const bool is_last : {false, true}) {
    write_version(module(), 1);
    write_version(elsewhere("new.py"), 2);
    std::vector<std::string> slow{main, elsewhere("new.py"), module()};
    if (is_last) slow.emplace_back("last");
    fs::remove_all(project() + "/__pycache__");
    slow.insert(slow.begin(), {kiln_binary(), "run", "--python", GetParam().path});
    EXPECT_EQ(run({.argv = slow, .environment = environment_with({})}).out, "100001\n");
    const Outcome next = run({.argv = {kiln_binary(), "run", "--python", GetParam().path, main},
                              .environment = environment_with({})});
    EXPECT_EQ(next.out, "100002\n") << is_last;
  }
}

TEST_P(Freshness, OldBytecodeIsNeverCalledFresh) {
  write_version(module(), 0);
  const std::vector<std::string> arguments{project() + "/main.py"};
  ASSERT_TRUE(run_until_bare(GetParam(), arguments, environment_with({})).is_served());
  for (int version = 1; version <= edits(); ++version) {
    write_version(module(), version);
    run({.argv = {kiln_binary(), "run", "--python", GetParam().path, arguments[0]}});
    write_version(module(), version + 50'000);
    const Outcome listed = kiln({"list", module()});
    const Outcome value = run({.argv = {GetParam().path, "-B", arguments[0]}});
    const bool is_old = value.out != std::to_string(150'000 + version) + "\n";
    EXPECT_FALSE(is_old && listed.out.starts_with("fresh")) << listed.out << value.out;
  }
}

INSTANTIATE_TEST_SUITE_P(Any, BusyDaemon, testing::Values(any_python()));

INSTANTIATE_TEST_SUITE_P(Each, SettledBytecode, testing::ValuesIn(tried_interpreters()),
                         [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(Each, Freshness, testing::ValuesIn(tried_interpreters()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace kiln::e2e
