// What review and new users found, each row once wrong: kept apart so that their number is seen.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "tests/e2e/harness.h"
#include "tests/e2e/table.h"

namespace kiln::e2e {
namespace {

// Before 3.13 their module has another name, and before 3.12 other functions.
constexpr const char* kSubinterpreters =
    "import sys\n"
    "try:\n    import _interpreters as subs\n"
    "except ImportError:\n    import _xxsubinterpreters as subs\n"
    "create = subs.create\n"
    "run = subs.exec if hasattr(subs, 'exec') else subs.run_string\n";

// What the runtime knows of the start: subinterpreters get it, and the C API tells.
const std::string kStart =
    std::string(kSubinterpreters) +
    "run(create(), 'import sys; print(sys.argv, sys.path, sys.flags, \"site\" in sys.modules, '\n"
    "    'getattr(sys, \"orig_argv\", 0), flush=True)')\n"
    "import ctypes\n"
    "count, line = ctypes.c_int(), ctypes.POINTER(ctypes.c_wchar_p)()\n"
    "ctypes.pythonapi.Py_GetArgcArgv(ctypes.byref(count), ctypes.byref(line))\n"
    "try:\n    import _testinternalcapi as t\n"
    "    config = getattr(t, 'get_config', lambda: t.get_configs()['config'])()\n"
    "    print(sorted((k, v) for k, v in config.items() if k != 'hash_seed'))\n"
    "except (ImportError, AttributeError):\n    pass\n"
    "print(ascii(line[:count.value]), ctypes.c_int.in_dll(ctypes.pythonapi, 'Py_NoSiteFlag').value)\n";

std::vector<Row> regressions() {
  // Enough containers for collections of the middle generation, none of the oldest.
  const std::string promote = "x = [[] for i in range(12000)]\n";
  return {
      {.name = "promoted_file",
       .target = {"p.py"},
       .files = {{"p.py", "f = open('out', 'w'); f.write('data')\n" + promote}}},
      {.name = "promoted_finalizer",
       .target = {"p.py"},
       .files = {{"p.py", "class D:\n    def __del__(self): print('del')\nd = D()\n" + promote}}},
      {.name = "promoted_generator",
       .target = {"p.py"},
       .files = {{"p.py",
                  "def g():\n    try: yield\n    finally: print('end')\nh = g(); next(h)\n" + promote}}},
      {.name = "replaced_stdout",
       .target = {"p.py"},
       .files = {{"p.py",
                  "import sys\nclass T:\n    def write(self, x): pass\n    def flush(self): pass\n"
                  "print('important'); sys.stdout = T()\n" +
                      promote}}},
      {.name = "interrupt_subclass",
       .target = {"p.py"},
       .files = {{"p.py", "class K(KeyboardInterrupt): pass\nraise K\n"}}},
      {.name = "gc_callbacks",
       .target = {"p.py"},
       .files = {{"p.py", "import gc, os\ngc.callbacks.append(lambda *a: os.write(1, b'collected\\n'))\n"}}},
      {.name = "audit_hook",
       .target = {"p.py"},
       .files =
           {{"p.py",
             "import os, sys\n"
             "sys.addaudithook(lambda e, a: e.startswith('gc.') and os.write(1, (e + '\\n').encode()))\n"}}},
      {.name = "deleted_main",
       .target = {"p.py"},
       .files = {{"p.py", "import sys\ndel sys.modules['__main__']\nx = [1]\nprint(x)\n"}}},
      {.name = "deleted_main_command",
       .target = {"-c", "import sys\ndel sys.modules['__main__']\nx = [1]\nprint(x)\n"}},
      {.name = "named_pipe",
       .shell = "mkfifo p; (echo 'print(1)' > p; echo $? > writer) & PYTHON p; wait",
       .expect = Expect::exec},
      // Without bytecode: an image that starts in the background would write it while the files are compared.
      {.name = "start_up_code_reads_a_file",
       .target = {"-c", "import sys; print(sys.seen)"},
       .expect = Expect::any,
       .files = {{"lib/sitecustomize.py",
                  "import os, sys\nsys.seen = open(os.path.dirname(__file__) + '/data').read()\n"},
                 {"lib/data", "first"}},
       .env = {"PYTHONPATH={cwd}/lib", "PYTHONDONTWRITEBYTECODE=1"}},
      {.name = "start_up_code_asks_who_it_is",
       .target = {"-c", "import os, sys; print(sys.seen == os.getpid())"},
       .expect = Expect::exec,
       .files = {{"lib/sitecustomize.py", "import os, sys\nsys.seen = os.getpid()\n"}},
       .env = {"PYTHONPATH={cwd}/lib", "PYTHONDONTWRITEBYTECODE=1"}},
      {.name = "start_up_code_removes_a_variable",
       .target = {"-c", "import os; print(os.environ.get('GONE'))"},
       .expect = Expect::any,
       .files = {{"lib/sitecustomize.py", "import os\nos.environ.pop('GONE', None)\n"}},
       .env = {"PYTHONPATH={cwd}/lib", "PYTHONDONTWRITEBYTECODE=1", "GONE=here"}},
      {.name = "start_up_code_keeps_a_stream",
       .target = {"-c", "import sys; sys.kept.write('first\\n'); print('second'); sys.kept.flush()"},
       .expect = Expect::exec,
       .files = {{"lib/sitecustomize.py", "import sys\nsys.kept = sys.stdout\n"}},
       .env = {"PYTHONPATH={cwd}/lib", "PYTHONDONTWRITEBYTECODE=1"}},
      {.name = "start_up_code_keeps_a_method",
       .target = {"-c", "import sys; sys.kept('first\\n'); print('second')"},
       .expect = Expect::exec,
       .files = {{"lib/sitecustomize.py", "import sys\nsys.kept = sys.stderr.buffer.write\n"}},
       .env = {"PYTHONPATH={cwd}/lib", "PYTHONDONTWRITEBYTECODE=1"}},
      {.name = "start_up_code_wraps_a_stream",
       .target = {"-c", "import sys; print(sys.stdout.errors, sys.__stdout__.errors)"},
       .expect = Expect::exec,
       .files =
           {{"lib/sitecustomize.py",
             "import io, sys\n"
             "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, errors='replace', write_through=True)\n"}},
       .env = {"PYTHONPATH={cwd}/lib", "PYTHONDONTWRITEBYTECODE=1"}},
      {.name = "start_up_code_reconfigures_a_stream",
       .target = {"-c", "import sys; print(sys.stdout.errors)"},
       .expect = Expect::exec,
       .files = {{"lib/sitecustomize.py", "import sys\nsys.stdout.reconfigure(errors='replace')\n"}},
       .env = {"PYTHONPATH={cwd}/lib", "PYTHONDONTWRITEBYTECODE=1"}},
      {.name = "how_it_was_started", .target = {"p.py", "one", "t w o", "\xff"}, .files = {{"p.py", kStart}}},
      {.name = "how_a_module_was_started", .target = {"-m", "p", "one"}, .files = {{"p.py", kStart}}},
      {.name = "how_a_command_was_started", .target = {"-c", kStart, "one"}},
      {.name = "how_a_directory_was_started", .target = {"d", "one"}, .files = {{"d/__main__.py", kStart}}},
      {.name = "how_it_was_started_without_site",
       .options = {"-S"},
       .target = {"p.py"},
       .files = {{"p.py", kStart}}},
      {.name = "how_it_was_started_isolated",
       .options = {"-I"},
       .target = {"p.py"},
       .files = {{"p.py", kStart}}},
      {.name = "subinterpreter_with_exit_function",
       .target = {"p.py"},
       .files = {{"p.py", std::string(kSubinterpreters) +
                              "run(create(), 'import atexit; atexit.register(print, 1)')\n"}}},
      {.name = "subinterpreter_is_kept",
       .target = {"p.py"},
       .files = {{"p.py", std::string(kSubinterpreters) +
                              "i = create()\nrun(i, 'import atexit; atexit.register(print, 1)')\n"}}},
      {.name = "traced_to_its_end",
       .target = {"p.py"},
       .files = {{"p.py",
                  "import sys, threading\n"
                  "def trace(frame, event, argument):\n"
                  "    print(event, frame.f_lineno, frame.f_code.co_name)\n"
                  "    return trace\n"
                  "sys.settrace(trace)\n"}}},
      {.name = "other_end_of_threads",
       .target = {"p.py"},
       .files = {{"p.py",
                  "import threading\nthreading._shutdown = lambda: print('once')\n"
                  "class D:\n    def __del__(self): pass\nd = D()\n"}}},
      // Python says by sys.path[0] that it may be meant to be another module.
      {.name = "shadowing_script",
       .target = {"random.py"},
       .files = {{"random.py", "import random\nrandom.randrange\n"}}},
      {.name = "shadowing_module",
       .target = {"-c", "import fractions\nfractions.Fraction"},
       .files = {{"fractions.py", ""}}},
  };
}

KILN_TABLE(Regressions, regressions());

std::string in_new_session(const std::string& arguments) {
  Invocation invocation;
  invocation.argv = {
      "/usr/bin/env",
      "setsid",
      "-w",
      "/bin/sh",
      "-c",
      "exec \"" + kiln_binary() + "\" run --python \"" + any_python().path + "\" " + arguments};
  invocation.environment = environment_with({"KILN_LOG=1"});
  Outcome outcome = run(invocation);
  return take_log_line(outcome.err).reason;
}

// What only one of two sorted lists has.
std::vector<std::string> differing(const std::vector<std::string>& one,
                                   const std::vector<std::string>& other) {
  std::vector<std::string> found;
  std::ranges::set_symmetric_difference(one, other, std::back_inserter(found));
  return found;
}

class FreshPrefix : public testing::TestWithParam<Python> {};

// The interpreter fills it while it starts, as an image too: that is no start-up code of the user's. Who of
// the two comes first is a race, so there are several.
TEST_P(FreshPrefix, IsServedAndFilledAsByPython) {
  reset_work_dir();
  const std::string top = home_dir() + "/fresh-prefix";
  const std::vector<std::string> program{"-c",
                                         "import json, sys; print(json.__cached__, sys.pycache_prefix)"};
  const auto with = [&](std::vector<std::string> argv, const std::string& prefix) {
    argv.insert(argv.end(), program.begin(), program.end());
    return run({.argv = std::move(argv), .environment = environment_with({"PYTHONPYCACHEPREFIX=" + prefix})});
  };
  const auto names = [&] {
    std::vector<std::string> found;
    for (const auto& [name, content] : snapshot(top)) found.push_back(name);
    std::filesystem::remove_all(top);
    return found;
  };

  for (const std::string name : {"one", "two", "three", "four"}) {
    const std::string prefix = top + "/" + name + "/not/there/yet";
    const Outcome expected = with({GetParam().path}, prefix);
    const auto expected_names = names();

    constexpr int kMostTries = 200;
    LogLine log;
    for (int i = 0; i < kMostTries && !log.is_served(); ++i) {
      Outcome outcome = with({kiln_binary(), "run", "--python", GetParam().path}, prefix);
      log = take_log_line(outcome.err);
      ASSERT_NE(log.reason, "startup-code") << log.line;
      EXPECT_EQ(outcome.out, expected.out);
      EXPECT_EQ(outcome.err, expected.err);
      EXPECT_EQ(describe_status(outcome.status), describe_status(expected.status));
    }
    EXPECT_TRUE(log.is_served()) << log.line;
    EXPECT_THAT(differing(names(), expected_names), testing::IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(Each, FreshPrefix, testing::ValuesIn(interpreters()),
                         [](const auto& info) { return info.param.name; });

class StartUp : public testing::TestWithParam<Python> {
 protected:
  // Until an image serves it; all runs have to say EXPECTED.
  static void expect_bare(const std::string& code, const std::vector<std::string>& changes,
                          const std::string& expected) {
    LogLine log;
    constexpr int kMostTries = 200;
    for (int i = 0; i < kMostTries && !log.is_served(); ++i) {
      Outcome outcome = run({.argv = {kiln_binary(), "run", "--python", GetParam().path, "-c", code},
                             .environment = environment_with(changes)});
      log = take_log_line(outcome.err);
      ASSERT_EQ(outcome.out, expected) << log.line;
    }
    EXPECT_TRUE(log.is_served()) << log.line;
  }

  // No image is made with the start-up code in DIR: Python itself runs CODE.
  static void expect_no_image(const std::string& dir, const std::string& code, const std::string& input) {
    const auto run_it = [&](std::vector<std::string> argv) {
      argv.insert(argv.end(), {"-c", code});
      return run({.argv = std::move(argv),
                  .environment = environment_with({"PYTHONPATH=" + dir}),
                  .in = Stream::pipe,
                  .input = input});
    };
    const Outcome expected = run_it({GetParam().path});
    LogLine log;
    ASSERT_TRUE(await([&] {
      Outcome outcome = run_it({kiln_binary(), "run", "--python", GetParam().path});
      log = take_log_line(outcome.err);
      EXPECT_EQ(outcome.out, expected.out);
      EXPECT_EQ(outcome.err, expected.err);
      return log.reason == "startup-code" || log.is_served();
    })) << log.line;
    EXPECT_EQ(log.reason, "startup-code") << log.line;
  }
};

// Its main thread has sys.stderr, too.
TEST_P(StartUp, ThreadingMayBeImported) {
  const std::string dir = home_dir() + "/" + GetParam().name + "-imports-threading";
  std::filesystem::create_directories(dir);
  write_file(dir + "/sitecustomize.py", "import threading\n");
  expect_bare("import sys, threading; print(threading.main_thread()._stderr is sys.stderr)",
              {"PYTHONPATH=" + dir}, "True\n");
}

// Its bytecode may be of what it was before. It is removed, and the next image does without, even if nobody
// writes it anew.
TEST_P(StartUp, MayHaveChangedSinceItsBytecodeWasWritten) {
  const std::string dir = home_dir() + "/" + GetParam().name + "-changed";
  std::filesystem::create_directories(dir);
  write_file(dir + "/sitecustomize.py", "import part_of_site\n");
  write_file(dir + "/part_of_site.py", "VALUE = 1\n");
  const std::string code = "import part_of_site; print(part_of_site.VALUE)";
  const std::vector<std::string> environment = environment_with({"PYTHONPATH=" + dir});
  ASSERT_EQ(run({.argv = {GetParam().path, "-c", code}, .environment = environment}).out, "1\n");
  std::filesystem::permissions(dir + "/part_of_site.py", std::filesystem::perms::owner_read);
  expect_bare(code, {"PYTHONPATH=" + dir, "PYTHONDONTWRITEBYTECODE=1"}, "1\n");
}

// No attribute of a stream tells.
TEST_P(StartUp, NewlinesMayBeAskedForAnotherWay) {
  using Change = std::pair<std::string, std::string>;
  for (const auto& [stream, newline] :
       {Change{"stdin", "None"}, Change{"stdin", "''"}, Change{"stdin", "'\\r\\n'"},
        Change{"stdout", "'\\r\\n'"}, Change{"stderr", "'\\r'"}}) {
    const std::string dir =
        home_dir() + "/" + GetParam().name + "-newlines-of-" + stream + std::to_string(newline.size());
    std::filesystem::create_directories(dir);
    write_file(dir + "/sitecustomize.py",
               "import sys\nsys." + stream + ".reconfigure(newline=" + newline + ")\n");
    const std::string code = "import sys; print(list(sys.stdin)); print('e', file=sys.stderr)";
    SCOPED_TRACE(stream + newline);
    expect_no_image(dir, code, "a\nb\r\n");
  }
}

// What belongs to the run's process, or is changed in the image's.
TEST_P(StartUp, MayAskAndChangeItsProcess) {
  const std::vector<std::pair<std::string, std::string>> steps = {
      {"umask", "os.umask(0o77)"},
      {"mask", "signal.pthread_sigmask(signal.SIG_BLOCK, [10, 12])"},
      {"affinity", "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])"},
      {"group", "os.setpgid(0, 0)"},
      {"streams", "sys.stdin._CHUNK_SIZE = 1"},
      {"descriptor", "sys.seen = os.fstat(0)"},
      {"handler", "sys.seen = signal.getsignal(signal.SIGINT)"},
      {"command_line", "sys.seen = open('/proc/self/cmdline').read()"},
  };
  const std::string code =
      "import os, signal, sys; print(oct(os.umask(0)), signal.pthread_sigmask(signal.SIG_BLOCK, []), "
      "os.sched_getaffinity(0), os.getpgid(0) == os.getpid(), sys.stdin._CHUNK_SIZE)";
  for (const auto& [name, step] : steps) {
    SCOPED_TRACE(step);
    const std::string dir = home_dir() + "/" + GetParam().name + "-changes-" + name;
    std::filesystem::create_directories(dir);
    write_file(dir + "/sitecustomize.py", "import os, signal, sys\n" + step + "\n");
    expect_no_image(dir, code, "");
  }
}

// A zone's file (tzfile(5)) of the first version, with one kind of time.
std::string zone_file(char hours, const std::string& name) {
  const auto seconds = static_cast<std::uint16_t>(hours * 3600);
  std::string file = "TZif" + std::string(16, '\0');
  for (const char count : {0, 0, 0, 0, 1, 4}) file += std::string(3, '\0') + count;
  file += std::string(2, '\0') + static_cast<char>(seconds >> 8) + static_cast<char>(seconds & 0xff);
  return file + std::string(2, '\0') + name + '\0';
}

TEST_P(StartUp, AnEditedTimeZoneIsSeen) {
  const std::string code =
      "import time; print(time.tzname[0], time.timezone, time.strftime('%Z %H', time.localtime(0)))";
  const std::string dir = home_dir() + "/zones";
  std::filesystem::create_directories(dir);
  const std::vector<std::vector<std::string>> by_path_and_name{{"TZ=:" + dir + "/Zone"},
                                                               {"TZ=Zone", "TZDIR=" + dir}};
  for (const auto& changes : by_path_and_name) {
    write_file(dir + "/Zone", zone_file(1, "AAA"));
    expect_bare(code, changes, "AAA -3600 AAA 01\n");
    write_file(dir + "/Zone", zone_file(2, "BBB"));
    expect_bare(code, changes, "BBB -7200 BBB 02\n");
  }
}

INSTANTIATE_TEST_SUITE_P(Each, StartUp, testing::ValuesIn(interpreters()),
                         [](const auto& info) { return info.param.name; });

TEST(Lifecycle, ASessionLeaderIsExecutedAtOnce) {
  EXPECT_EQ(in_new_session("-c pass"), "session");
}

// LD_PRELOAD splits at spaces and colons.
TEST(Lifecycle, AnyInstallationPathWillDo) {
  namespace fs = std::filesystem;
  const fs::path build = fs::path(kiln_binary()).parent_path().parent_path();
  if (!fs::exists(build / "lib/kiln/kiln_image.so")) GTEST_SKIP() << "KILN_UNDER_TEST is not a build tree's";
  const fs::path odd = fs::path(home_dir()) / "with space:and colon";
  fs::create_directories(odd / "bin");
  fs::create_directories(odd / "lib");
  for (const char* name : {"kiln", "kilnd"}) fs::copy(build / "bin" / name, odd / "bin" / name);
  fs::copy(build / "lib/kiln", odd / "lib/kiln", fs::copy_options::recursive);
  EXPECT_EQ(describe_status(kiln({"daemon", "stop"}).status), "exit 0");
  Invocation invocation;
  invocation.argv = {(odd / "bin/kiln").string(), "run", "--python", any_python().path, "-c", "pass"};
  invocation.environment = environment_with({"KILN_LOG=1"});
  LogLine log;
  for (int i = 0; i < 200 && !log.is_served(); ++i) {
    Outcome outcome = run(invocation);
    log = take_log_line(outcome.err);
  }
  EXPECT_TRUE(log.is_served()) << log.line;
  EXPECT_EQ(describe_status(kiln({"daemon", "stop"}).status), "exit 0");
}

// A daemon that hangs costs a run its deadline, not its life.
TEST(Lifecycle, AStoppedDaemonIsSurvived) {
  const auto warm = run_until_bare(any_python(), {"-c", "pass"}, base_environment());
  ASSERT_TRUE(warm.is_served());
  const pid_t daemon = daemon_pid();
  ASSERT_GT(daemon, 0);
  ::kill(daemon, SIGSTOP);
  Invocation invocation;
  invocation.argv = {kiln_binary(), "run", "--python", any_python().path, "-c", "print('ran')"};
  invocation.environment = environment_with({"KILN_LOG=1"});
  Outcome outcome = run(invocation);
  ::kill(daemon, SIGCONT);
  EXPECT_FALSE(outcome.timed_out) << "the program's output is held by the daemon";
  EXPECT_EQ(outcome.out, "ran\n");
  EXPECT_EQ(take_log_line(outcome.err).mode, "exec");
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
}

TEST(Lifecycle, AFailingDaemonSaysWhy) {
  const Outcome outcome =
      kiln({"daemon", "start"}, {"KILN_RUNTIME_DIR=" + home_dir() + "/other", "KILN_CACHE_DIR=/dev/null"});
  EXPECT_EQ(describe_status(outcome.status), "exit 3");
  EXPECT_NE(outcome.err.find("/dev/null"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace kiln::e2e
