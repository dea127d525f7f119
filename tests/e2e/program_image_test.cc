// Programs that are run ahead, and go on from their first step: what they do is what python does, in the
// first run, when they are warm, with other arguments and variables, and after every change of what they
// looked at.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;

const std::vector<std::string> kRunAhead{"KILN_IMAGES_PROGRAMS=true", "KILN_LOG_LEVEL=debug"};

std::vector<std::string> environment(std::vector<std::string> changes = {}) {
  changes.insert(changes.end(), kRunAhead.begin(), kRunAhead.end());
  return environment_with(changes);
}

std::string program_dir;  // where programs run

struct Seen {
  Outcome outcome;
  LogLine log;
};

Outcome run_python(const Python& python, std::vector<std::string> arguments,
                   const std::vector<std::string>& changes = {}) {
  arguments.insert(arguments.begin(), python.path);
  Outcome outcome = run({.argv = arguments, .environment = environment(changes), .cwd = program_dir});
  return outcome;
}

Seen run_kiln(const Python& python, std::vector<std::string> arguments,
              const std::vector<std::string>& changes = {}) {
  arguments.insert(arguments.begin(), {kiln_binary(), "run", "--python", python.path});
  Seen seen{run({.argv = arguments, .environment = environment(changes), .cwd = program_dir}), {}};
  seen.log = take_log_line(seen.outcome.err);
  return seen;
}

void expect_same(const Outcome& kiln, const Outcome& python) {
  EXPECT_EQ(kiln.out, python.out);
  EXPECT_EQ(kiln.err, python.err);
  EXPECT_EQ(describe_status(kiln.status), describe_status(python.status));
}

// As `kiln status` shows it: the program NAME when it was run ahead as far as it goes. Nothing: it was not.
std::optional<json::object> last_image_of(const std::string& name) {
  const Outcome outcome = run({.argv = {kiln_binary(), "status", "--json"}, .environment = environment()});
  const auto status = json::parse(outcome.out);
  for (const auto& image : status.at("images").as_array()) {
    const auto* const entry = image.as_object().if_contains("entry");
    if (entry != nullptr && image.at("last").as_bool() &&
        std::string_view(entry->as_string()).ends_with("/" + name))
      return image.as_object();
  }
  return std::nullopt;
}

// The step before which it stops.
std::optional<std::string> last_step_of(const std::string& name) {
  const auto image = last_image_of(name);
  return image ? std::optional<std::string>(image->at("step").as_string()) : std::nullopt;
}

// Whether the program ARGUMENTS[0] was run ahead as far as it goes.
bool is_run_ahead(const std::vector<std::string>& arguments) {
  return last_step_of(arguments[0]).has_value();
}

// How many runs all images have at this moment.
std::int64_t runs_now() {
  const Outcome outcome = run({.argv = {kiln_binary(), "status", "--json"}, .environment = environment()});
  std::int64_t runs = 0;
  const auto status = json::parse(outcome.out);
  for (const auto& image : status.at("images").as_array())
    runs += image.at("running").to_number<std::int64_t>();
  return runs;
}

// Runs it until it is warm, and was run ahead as far as it goes; each run is compared.
void expect_warm(const Python& python, const std::vector<std::string>& arguments,
                 const std::vector<std::string>& changes = {}) {
  const Outcome expected = run_python(python, arguments, changes);
  std::string mode;
  const bool is_warm = await([&] {
    const Seen seen = run_kiln(python, arguments, changes);
    expect_same(seen.outcome, expected);
    mode = seen.log.mode;
    const bool is_far = mode == "warm" && (arguments[0].starts_with('-') || is_run_ahead(arguments));
    return is_far || testing::Test::HasFailure();
  });
  const std::string log = read_file(cache_dir() + "/kilnd.log");
  EXPECT_TRUE(is_warm) << "it was never warm; last " << mode << "\n"
                       << log.substr(log.size() - std::min<std::size_t>(log.size(), 2000));
}

void put(const std::string& name, const std::string& text) {
  write_file(program_dir + "/" + name, text);
}

class ProgramImages : public testing::TestWithParam<Python> {
 protected:
  void SetUp() override {
    kiln({"daemon", "stop"});  // which remembers programs of the same name that were run ahead in vain
    reset_work_dir();
    program_dir = work_dir();
  }
};

std::string python_name(const testing::TestParamInfo<Python>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Each, ProgramImages, testing::ValuesIn(interpreters()), python_name);

// What happens while modules are imported, one a program. Each is warm in the end, stopped before that step,
// and what it prints is what python prints, however often.
struct Step {
  const char* name;
  const char* module;
};

const std::vector<Step> kSteps = {
    {"prints", "print('at import')"},
    {"reads_arguments", "import sys\nprint(sys.argv[1:], len(sys.argv))"},
    {"holds_arguments", "from sys import argv\ndef later(): return list(argv), type(argv)\nprint('held')"},
    {"reads_variable", "import os\nprint(os.environ.get('FRUIT'), os.environ['PATH'] != '')"},
    {"reads_all_variables", "import os\nprint(sorted(os.environ) != [], type(os.environ._data))"},
    {"sets_variable",
     "import os\nos.environ['FRUIT'] = 'fig'\nos.environ.setdefault('NUT', 'almond')\n"
     "import subprocess\nprint(subprocess.check_output(['sh', '-c', 'echo $FRUIT $NUT']))"},
    {"asks_priority",
     "import os, ctypes\nGET_IO_PRIORITY = 252  # on x86-64\n"
     "print(os.sched_getscheduler(0), os.nice(0), ctypes.CDLL(None).syscall(GET_IO_PRIORITY, 1, 0))"},
    {"reads_cwd", "import os\nprint(os.getcwd() == os.path.realpath('.'))"},
    {"reads_clock",
     "import time, functools\nnow = functools.partial(time.time)\nprint(abs(now() - time.time()) < 5)"},
    {"reads_monotonic",
     "import time, collections\nd = collections.defaultdict(time.monotonic)\n"
     "print(abs(d['a'] - time.monotonic()) < 5)"},
    {"asks_pid",
     "import os\npid = os.getpid()\nprint(pid == os.getpid())\ndef later(): return pid == os.getpid()"},
    {"draws_random", "import os\nprint(len(os.urandom(4)))"},
    {"starts_thread",
     "import threading\nt = threading.Thread(target=print, args=('in thread',))\nt.start(); t.join()"},
    {"opens_socket", "import socket\ns = socket.socketpair()\ns[0].send(b'x')\nprint(s[1].recv(1))"},
    {"writes_file", "open('made', 'w').write('text')\nprint(open('made').read())"},
    {"keeps_file_open", "f = open('data.txt')\nprint(f.readline())\ndef later(): return f.read(), f.tell()"},
    {"handles_signal",
     "import signal\nsignal.signal(signal.SIGUSR1, lambda *a: print('got it'))\n"
     "def later(): signal.raise_signal(signal.SIGUSR1)"},
    {"changes_dir", "import os\nos.chdir('/')\nprint(os.getcwd())"},
    {"sets_locale", "import locale\nprint(locale.setlocale(locale.LC_ALL, 'C'))"},
    {"sets_zone", "import os, time\nos.environ['TZ'] = 'Asia/Kolkata'\ntime.tzset()\nprint(time.tzname)"},
    {"registers_at_fork", "import os\nos.register_at_fork(after_in_child=lambda: print('forked'))\n"},
    {"registers_atexit", "import atexit\natexit.register(print, 'bye')"},
    {"logs",
     "import logging, io\nlogging.basicConfig(format='%(levelname)s %(message)s')\n"
     "def later(): logging.warning('warned'); return logging._startTime > 0"},
    {"wraps_streams",
     "import io, sys\nsys.stdin = io.TextIOWrapper(sys.stdin.buffer, 'ascii')\n"
     "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'ascii', 'backslashreplace', newline='\\r\\n')\n"
     "def later(): sys.__stdout__.write('first\\n'); return 'wr\\u00e4pped', sys.stdin.read()"},
    {"wraps_streams_detached",
     "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), 'ascii', 'replace')\n"
     "def later(): return 'wr\\u00e4pped'"},
    {"asks_isatty", "import sys\nprint(sys.stdout.isatty(), sys.stdin.isatty())"},
    {"lists_directory", "import os\nprint(sorted(n for n in os.listdir('.') if n != '__pycache__'))"},
    {"inspects_itself",
     "import sys, gc, threading\nprint(len(sys._current_frames()), threading.active_count(), "
     "sys.getrecursionlimit(), gc.isenabled(), gc.get_threshold())"},
    {"raises", "raise ValueError('at import')"},
    {"exits", "import sys\nsys.exit(7)"},
    {"monkeypatches", "import json\njson.loads = lambda text: 'patched'\nprint(json.loads('1'))"},
    {"filters_warnings",
     "import warnings\nwarnings.simplefilter('error')\ntry:\n  warnings.warn('x')\n"
     "except UserWarning as e: print('raised', e)"},
    {"tries_missing", "try:\n  import there_is_none\nexcept ImportError as e: print(e)"},
    {"generator_left", "def g():\n  try: yield 1\n  finally: print('closed')\nheld = g(); next(held)"},
    {"has_finalizer", "class C:\n  def __del__(self): print('deleted')\nheld = C()"},
};

constexpr char kMain[] =
    "import sys\n"
    "import module\n"
    "print('main', __name__, sys.argv[0][-7:])\n"
    "if hasattr(module, 'later'): print(module.later())\n"
    "def depth():\n"
    "  n, f = 0, sys._getframe()\n"
    "  while f: n, f = n + 1, f.f_back\n"
    "  return n\n"
    "print(depth(), sorted(set(sys.modules) & {'module', 'json', 'random'}))\n";

TEST_P(ProgramImages, StopBeforeEachStep) {
  const auto dir_of = [](const Step& step) { return work_dir() + "/" + step.name; };
  // All at once: for a second after an edit every run writes its bytecode anew, and that is a step.
  for (const Step& step : kSteps) {
    std::filesystem::create_directory(program_dir = dir_of(step));
    put("main.py", kMain);
    put("module.py", std::string(step.module) + "\n");
    put("data.txt", "first\nsecond\nthird\n");
  }
  for (const Step& step : kSteps) {
    SCOPED_TRACE(step.name);
    program_dir = dir_of(step);
    expect_warm(GetParam(), {"main.py"});
    for (int i = 0; i < 2; ++i)
      expect_same(run_kiln(GetParam(), {"main.py"}).outcome, run_python(GetParam(), {"main.py"}));
    // With other arguments and variables than those that it was run ahead with.
    const std::vector<std::string> changes{"FRUIT=kiwi", "NUT=pecan"};
    for (int i = 0; i < 3; ++i) {
      expect_same(run_kiln(GetParam(), {"main.py", "a", "b"}, changes).outcome,
                  run_python(GetParam(), {"main.py", "a", "b"}, changes));
    }
    if (HasFailure()) return;
  }
}

// Each of these is a change of something that the program looked at. The very next run sees it.
// Buffers have a lock each, and some interpreters read the clock whenever they take one: no run hears of it.
// What Python code reads that a buffer calls is kept.
TEST_P(ProgramImages, LocksOfBuffersAreNoStep) {
  put("flushes.py",
      "import sys\nsys.stdout.flush()\nfile = open(__file__, 'rb')\nfile.read(1), file.seek(0), list(file)\n"
      "print('flushed', flush=True)\n");
  put("raw.py",
      "import io, time\n"
      "class Raw(io.RawIOBase):\n"
      "  def writable(self): return True\n"
      "  def write(self, data):\n"
      "    self.at = time.monotonic()\n"
      "    return len(data)\n"
      "raw = Raw()\nstream = io.BufferedWriter(raw)\nstream.write(b'x')\nstream.flush()\nprint(raw.at > "
      "0)\n");
  expect_warm(GetParam(), {"flushes.py"});
  EXPECT_EQ(last_step_of("flushes.py"), "writes to standard output");
  expect_warm(GetParam(), {"raw.py"});
  EXPECT_EQ(last_step_of("raw.py"), "reads the clock");
}

TEST_P(ProgramImages, SeeEveryChange) {
  const std::string dir = work_dir() + "/";
  put("main.py",
      "import module, package.part\nprint(module.value, package.part.value, open('data.txt').read())\n"
      "try:\n  import optional\n  print(optional.value)\nexcept ImportError: print('no optional')\n");
  put("module.py", "value = 1\n");
  put("package/__init__.py", "");
  put("package/part.py", "value = 1\n");
  put("data.txt", "1");
  const auto check = [&](const char* what) {
    SCOPED_TRACE(what);
    // The new code first: python would take stale bytecode for a same-second edit, Kiln never does.
    const Seen seen = run_kiln(GetParam(), {"main.py"});
    std::filesystem::remove_all(dir + "__pycache__");
    std::filesystem::remove_all(dir + "package/__pycache__");
    expect_same(seen.outcome, run_python(GetParam(), {"main.py"}));
    expect_warm(GetParam(), {"main.py"});
  };
  expect_warm(GetParam(), {"main.py"});
  put("module.py", "value = 2\n");
  check("a module is edited in place");
  write_file(dir + "new.py", "value = 3\n");
  std::filesystem::rename(dir + "new.py", dir + "package/part.py");
  check("a module is renamed over");
  put("data.txt", "2");
  check("a data file is edited");
  put("optional.py", "value = 'there'\n");
  check("a module appears");
  std::filesystem::remove(dir + "optional.py");
  check("a module is deleted");
  put("module/__init__.py", "value = 'package'\n");
  check("a package shadows a module");
  put("main.py", "print('another program')\n");
  check("the script is edited");
}

// After an edit of what the program imports of its own, all that it imports before that need not be done
// again.
// At once from the stop before it; and what is run ahead again goes on from there, too.
TEST_P(ProgramImages, ServeEditsFromBeforeTheProject) {
  put("main.py", "import json, decimal\nimport module\nprint(module.value, sorted(module.__dict__)[-1])\n");
  put("module.py", "value = 1\n");
  expect_warm(GetParam(), {"main.py"});
  for (int value = 2; value < 5; ++value) {
    put("module.py.new", "value = " + std::to_string(value) + "\n");
    std::filesystem::rename(program_dir + "/module.py.new", program_dir + "/module.py");
    const Seen seen = run_kiln(GetParam(), {"main.py"});
    EXPECT_EQ(seen.log.mode, "warm") << value;
    expect_same(seen.outcome, run_python(GetParam(), {"main.py"}));
    EXPECT_TRUE(await([&] {
      EXPECT_EQ(run_kiln(GetParam(), {"main.py"}).outcome.out, seen.outcome.out);
      return is_run_ahead({"main.py"}) || HasFailure();
    }));
  }
  EXPECT_THAT(read_file(cache_dir() + "/kilnd.log"),
              HasSubstr("is run ahead from where it looks into its project"));
}

// A module that warns as it is compiled, and was edited a moment ago: its first bytecode is not trusted.
TEST_P(ProgramImages, WarnOnceOfWhatWasEdited) {
  put("main.py", "import warns\nprint(warns.VALUE)\n");
  put("warns.py", "VALUE = 1 is 1\n");
  Seen seen;
  EXPECT_TRUE(await([&] {
    seen = run_kiln(GetParam(), {"main.py"});
    EXPECT_EQ(seen.outcome.out, "True\n");
    return seen.log.is_served() && seen.outcome.err.empty();
  })) << seen.outcome.err;
  expect_warm(GetParam(), {"main.py"});
}

// An image starts with the variables that start-up code reads, and so do the programs that it has run ahead.
TEST_P(ProgramImages, GoOnAfterStreamsAreWrapped) {
  put("wraps.py",
      "import io, json, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'ascii', newline='\\r\\n')\n"
      "import decimal\nprint(decimal.Decimal(1))\nsys.stdout.write('no end of line')\n");
  expect_warm(GetParam(), {"wraps.py"});
  EXPECT_EQ(last_step_of("wraps.py"), "writes to standard output");
}

TEST_P(ProgramImages, StartWithWhatStartUpCodeReads) {
  put("site/sitecustomize.py", "import os, sys\nsys.colour = os.environ.get('COLOUR')\n");
  put("tells.py", "import sys, json\nprint(sys.colour)\n");
  const std::string path = "PYTHONPATH=" + program_dir + "/site";
  expect_warm(GetParam(), {"tells.py"}, {path, "COLOUR=red"});
  expect_warm(GetParam(), {"tells.py"}, {path, "COLOUR=blue"});
  for (int i = 0; i < 3; ++i) {
    for (const std::string colour : {"red", "blue"})
      EXPECT_EQ(run_kiln(GetParam(), {"tells.py"}, {path, "COLOUR=" + colour}).outcome.out, colour + "\n");
  }
}

// importlib holds a lock of the module that is being imported, by a weak reference that calls it back.
TEST_P(ProgramImages, NeedNoTearingDownForAnImport) {
  put("needs_own.py", "import json\nimport own_part\nprint(own_part.VALUE)\n");
  put("own_part.py", "VALUE = 1\n");
  expect_warm(GetParam(), {"needs_own.py"});
  const Outcome outcome = run({.argv = {kiln_binary(), "status", "--json"}, .environment = environment()});
  int stops = 0;
  const auto status = json::parse(outcome.out);
  for (const auto& image : status.at("images").as_array()) {
    const auto* const entry = image.as_object().if_contains("entry");
    if (entry == nullptr || !std::string_view(entry->as_string()).ends_with("/needs_own.py")) continue;
    ++stops;
    EXPECT_THAT(std::string(image.at("finalized").as_string()), Not(HasSubstr("ReferenceType")));
  }
  EXPECT_GE(stops, 2);
}

TEST_P(ProgramImages, ServeOtherArgumentsFromBeforeThem) {
  put("main.py", "import json\nimport sys\nprint(sys.argv)\n");
  expect_warm(GetParam(), {"main.py", "one"});
  for (const char* argument : {"two", "three", ""}) {
    const Seen seen = run_kiln(GetParam(), {"main.py", argument, "x"});
    EXPECT_EQ(seen.log.mode, "warm") << seen.log.line;
    expect_same(seen.outcome, run_python(GetParam(), {"main.py", argument, "x"}));
  }
}

// Where SIGCHLD is ignored the kernel reaps, and an image would wait for children that are gone.
TEST_P(ProgramImages, HearOfTheEndOfRunsThatIgnoreIt) {
  put("main.py", "import signal\nprint(int(signal.getsignal(signal.SIGCHLD)))\n");
  const std::vector<std::string> ignoring{"/usr/bin/env", "--ignore-signal=CHLD"};
  const auto run_ignoring = [&](std::vector<std::string> argv) {
    argv.insert(argv.begin(), ignoring.begin(), ignoring.end());
    argv.push_back("main.py");
    return run({.argv = argv, .environment = environment(), .cwd = program_dir});
  };
  const Outcome expected = run_ignoring({GetParam().path});
  ASSERT_EQ(expected.out, "1\n");  // SIG_IGN
  int warm_runs = 0;
  LogLine log;
  ASSERT_TRUE(await([&] {
    Outcome outcome = run_ignoring({kiln_binary(), "run", "--python", GetParam().path});
    log = take_log_line(outcome.err);
    expect_same(outcome, expected);
    if (log.mode == "warm") ++warm_runs;
    return testing::Test::HasFailure() || warm_runs == 5;
  })) << log.mode
      << " " << log.reason;
  EXPECT_TRUE(is_run_ahead({"main.py"}));
  EXPECT_TRUE(await([] { return runs_now() == 0; })) << runs_now();
}

// `kiln warm` comes before any run, starts what is not there, and waits.
TEST_P(ProgramImages, AreMadeOnRequest) {
  const auto warm = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {kiln_binary(), "warm"});
    return run({.argv = arguments, .environment = environment(), .cwd = program_dir});
  };
  const std::string& python = GetParam().path;
  kiln({"daemon", "stop"});
  put("module.py", "print('imported')\n");
  put("main.py", "import module, sys\nprint(sys.argv[1:])\n");
  for (const char* text : {"print('imported')\n", "print('edited')\n"}) {
    put("module.py", text);
    const Outcome made = warm({"--python", python, "main.py", "a"});
    EXPECT_EQ(describe_status(made.status), "exit 0") << made.out << made.err;
    EXPECT_THAT(made.out, testing::HasSubstr("before it writes to standard output"));
    const Seen seen = run_kiln(GetParam(), {"main.py", "a"});
    EXPECT_EQ(seen.log.mode, "warm") << seen.log.line;
    expect_same(seen.outcome, run_python(GetParam(), {"main.py", "a"}));
  }
  EXPECT_FALSE(std::filesystem::is_empty(program_dir + "/__pycache__"));
  put("tool", "#!" + python + "\nimport json\nprint('tool')\n");
  std::filesystem::permissions(program_dir + "/tool", std::filesystem::perms::owner_all);
  EXPECT_EQ(describe_status(warm({"x", "./tool"}).status), "exit 0");
  Outcome used =
      run({.argv = {kiln_binary(), "x", "./tool"}, .environment = environment(), .cwd = program_dir});
  EXPECT_EQ(take_log_line(used.err).mode, "warm");
  EXPECT_EQ(used.out, "tool\n");
  const Outcome missing = warm({"--python", python, "there_is_none.py"});
  EXPECT_EQ(describe_status(missing.status), "exit 1");
  EXPECT_THAT(missing.out, testing::HasSubstr("(target-missing: "));
  put("broken.py", "x = =\n");
  const Outcome broken = warm({"--python", python, "broken.py"});
  EXPECT_EQ(describe_status(broken.status), "exit 1");
  EXPECT_THAT(broken.out, testing::HasSubstr("(compile-error: "));
}

TEST_P(ProgramImages, RunModulesAndCommands) {
  put("package/__init__.py", "");
  put("package/__main__.py", "import sys, json\nprint(sys.argv[0][-11:], sys.argv[1:], __spec__.name)\n");
  expect_warm(GetParam(), {"-m", "package", "a"});
  expect_warm(GetParam(), {"-c", "import sys, json; print(sys.argv, __name__)", "b"});
  expect_warm(GetParam(), {"package"});
}

// Output that is appended to a file, and input from the middle of one.
TEST_P(ProgramImages, StandWhereFilesStand) {
  put("main.py",
      "import sys, json\nprint(sys.stdin.readline().strip(), sys.stdin.tell())\nsys.stdin.seek(0)\n"
      "print(sys.stdin.readline().strip(), sys.stdout.tell())\n");
  put("lines.txt", "one\ntwo\nthree\nfour\n");
  put("run.sh", "exec 3<lines.txt >$1; read first <&3; echo $first; shift; \"$@\" <&3\n");
  const auto run_script = [&](const std::string& out, std::vector<std::string> program) {
    program.insert(program.begin(), {"/bin/sh", "run.sh", out});
    return run({.argv = program, .environment = environment(), .cwd = program_dir});
  };
  run_script("python.txt", {GetParam().path, "main.py"});
  const bool is_warm = await([&] {
    Outcome outcome = run_script("kiln.txt", {kiln_binary(), "run", "--python", GetParam().path, "main.py"});
    EXPECT_EQ(read_file(program_dir + "/kiln.txt"), read_file(program_dir + "/python.txt"));
    return take_log_line(outcome.err).mode == "warm" || HasFailure();
  });
  EXPECT_TRUE(is_warm);
}

// `kiln explain run` says so before, and after, and why not.
TEST_P(ProgramImages, AreExplained) {
  put("main.py", "import sys, os\nprint(sys.argv[1:], os.environ.get('FRUIT'), flush=True)\n");
  expect_warm(GetParam(), {"main.py", "a"});
  const auto explain = [&](std::vector<std::string> arguments, const std::vector<std::string>& changes = {}) {
    arguments.insert(arguments.begin(), {kiln_binary(), "explain", "run", "--python", GetParam().path});
    return run({.argv = arguments, .environment = environment(changes), .cwd = program_dir}).out;
  };
  EXPECT_THAT(explain({"main.py", "a"}), testing::HasSubstr("on its arguments, on "));
  EXPECT_THAT(explain({"main.py", "b"}), testing::HasSubstr("before it looks at its arguments"));
  EXPECT_THAT(explain({"main.py", "a"}, {"FRUIT=fig"}), testing::HasSubstr("FRUIT had another value"));
  EXPECT_THAT(explain({"other.py"}), testing::HasSubstr("(target-missing: "));
  put("other.py", "");
  EXPECT_THAT(explain({"other.py"}), testing::HasSubstr("It has not been run ahead yet"));
  put("main.py", "print('another')\n");
  EXPECT_THAT(explain({"main.py", "a"}), testing::HasSubstr("main.py has changed"));
  EXPECT_THAT(explain({"-i", "main.py"}), testing::HasSubstr("Executed: "));
}

TEST_P(ProgramImages, ShareNoRandomness) {
  const std::vector<std::string> programs{
      "import random\nprint(random.random())\n",
      "from random import choice\nTOKEN = ''.join(choice('abcdefghij') for _ in range(20))\nprint(TOKEN)\n",
      "import random\nx = list(range(99))\nrandom.shuffle(x)\nimport json\nprint(x)\n",
      "import random\nprint(random.Random().random())\n",
      "import random, uuid, tempfile, secrets\n"
      "print(uuid.uuid4(), next(tempfile._get_candidate_names()), secrets.token_hex())\n",
      "import random\nrandom.seed(42)\nprint(random.random(), flush=True)\nimport uuid\n"
      "print(random.random(), uuid.uuid4())\n"};
  int number = 0;
  for (const std::string& program : programs) {
    const std::string file = "draws" + std::to_string(number++) + ".py";
    put(file, program);
    std::set<std::string> seen;
    int warm = 0;
    EXPECT_TRUE(await([&] {
      const Seen run = run_kiln(GetParam(), {file});
      EXPECT_TRUE(seen.insert(run.outcome.out).second) << run.outcome.out;
      warm += run.log.mode == "warm" ? 1 : 0;
      return warm == 5 || HasFailure();
    })) << program;
  }
}

// Of a second copy of the module random, only one generator is seeded anew: such programs stop there, or are
// not run ahead.
TEST_P(ProgramImages, ShareNoRandomnessOfCopies) {
  const std::vector<std::string> programs{
      "import random, importlib\nfirst = random.random\nimportlib.reload(random)\nprint(first())\n",
      "import sys\nfrom random import random as first\ndel sys.modules['random']\nimport random\n"
      "print(first())\n",
      "import sys\nfrom random import random as first\nkept = sys.modules.pop('random')\nx = first()\n"
      "sys.modules['random'] = kept\nprint(x)\n",
      "import importlib.util as util\nspec = util.find_spec('random')\ncopy = util.module_from_spec(spec)\n"
      "spec.loader.exec_module(copy)\nimport random\nprint(copy.random())\n",
      "import random\nfirst = random.random\nrandom._inst = random.Random(3)\nx = first()\nprint(x)\n"};
  int number = 0;
  for (const std::string& program : programs) {
    const std::string file = "copies" + std::to_string(number++) + ".py";
    put(file, program);
    std::set<std::string> seen;
    for (int i = 0; i < 10; ++i) {
      const Seen run = run_kiln(GetParam(), {file});
      EXPECT_TRUE(seen.insert(run.outcome.out).second) << program << run.outcome.out;
      EXPECT_EQ(describe_status(run.outcome.status), "exit 0") << run.outcome.err;
    }
  }
}

// What a program draws after it has seeded the generator itself, at whatever point it is stopped.
TEST_P(ProgramImages, DrawWhatTheySeed) {
  put("seeds.py",
      "import random\nrandom.seed(42)\nimport json\nprint(random.random(), flush=True)\nrandom.seed(7)\n"
      "print(random.random(), random.getstate()[1][:3], random.gauss(0, 1))\n");
  expect_warm(GetParam(), {"seeds.py"});
}

// SQLite takes steps within its calls, and holds a recursive mutex then, which knows the thread that has it.
TEST_P(ProgramImages, GoOnWithWhatLibrariesHaveLocked) {
  if (python_output(GetParam(), "import sqlite3; print(1)") != "1\n") GTEST_SKIP() << "it has no sqlite3";
  put("locks.py",
      "import sqlite3\nc = sqlite3.connect(':memory:')\nc.execute('create table a(b)')\n"
      "c.execute('insert into a values (7)')\nprint(list(c.execute('select * from a')))\n");
  expect_warm(GetParam(), {"locks.py"});
}

// Threads that a library has started as it was imported, that were used, or started anew, or are those of a
// fork.
TEST_P(ProgramImages, HaveTheThreadsOfLibraries) {
  if (python_output(GetParam(), "import numexpr; print(numexpr.nthreads > 1)") != "True\n")
    GTEST_SKIP() << "it has no numexpr, or one processor";
  const std::string start = "import numexpr, numpy, os\na = numpy.arange(1000000)\n";
  const std::string count = "print(len(os.listdir('/proc/self/task')), numexpr.get_num_threads())\n";
  const std::string use = "print(int(numexpr.evaluate('a * 3').sum()))\n";
  const std::string masks =
      "for t in os.listdir('/proc/self/task'): print(open('/proc/self/task/%s/status' % t).read().split("
      "'SigBlk:')[1].split()[0])\n";
  const std::vector<std::string> programs{
      start + count + use + count + masks, start + use + masks + count,
      start + "numexpr.set_num_threads(4)\n" + use + count + "numexpr.set_num_threads(1)\n" + use + count,
      start + "import importlib\nimportlib.reload(numexpr)\n" + use + count,
      start + "pid = os.fork()\nif pid: print(os.waitpid(pid, 0)[1])\n" + use + count};
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const std::string file = "threads" + std::to_string(i) + ".py";
    put(file, "import sys\nsys.stdout.reconfigure(line_buffering=True)\n" + programs[i]);
    expect_warm(GetParam(), {file});
    EXPECT_THAT(last_step_of(file).value_or(""), testing::Not(testing::HasSubstr("signal"))) << programs[i];
  }
}

// State that no system call shows, or that children of an image could have lost. Some of these programs are
// never warm.
const std::vector<Step> kHiddenState = {
    {"devnull",
     "import os, subprocess\n"
     "f = os.open(os.devnull, os.O_RDWR)\n"
     "print(subprocess.run(['ls', '/'], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE), flush=True)\n"
     "print(os.write(f, b'x'))\n"},
    {"tls",
     "import ssl\nssl.RAND_bytes(8); ssl.RAND_bytes(8)\nc = ssl.create_default_context()\n"
     "b = c.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname='localhost')\n"
     "try: b.do_handshake()\nexcept ssl.SSLWantReadError as e: print(type(e))\n"},
    {"locks",
     "import ctypes\nlibc = ctypes.CDLL(None)\nm = ctypes.create_string_buffer(64)\n"
     "r = ctypes.create_string_buffer(64)\nlibc.mtx_init(m, 1)\n"
     "print(libc.mtx_lock(m), libc.pthread_rwlock_wrlock(r), flush=True)\n"
     "print(libc.mtx_lock(m), libc.pthread_rwlock_unlock(r), libc.pthread_rwlock_trywrlock(r))\n"},
    {"copied",
     "import os\nf = os.open('data.txt', os.O_RDONLY)\ng = os.dup(f)\nos.read(f, 2)\nprint('x', flush=True)\n"
     "print(os.read(f, 3), os.read(g, 3))\n"},
    {"flags",
     "import os, fcntl\nf = os.open('data.txt', os.O_RDONLY | os.O_NONBLOCK)\nprint('x', flush=True)\n"
     "print(fcntl.fcntl(f, fcntl.F_GETFL) & os.O_NONBLOCK, os.read(f, 4))\n"},
    {"high",
     "import os, fcntl\nf = os.open('data.txt', os.O_RDONLY)\nn = fcntl.fcntl(f, fcntl.F_DUPFD_CLOEXEC, "
     "500)\n"
     "print('x', flush=True)\nprint(os.read(n, 3))\n"},
    {"far",
     "import os\nos.dup2(os.open('data.txt', os.O_RDONLY), 104)\nprint('x', flush=True)\nprint(os.read(104, "
     "3))\n"},
    {"dontfork",
     "import mmap\nm = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\nm[:5] = b'hello'\n"
     "if hasattr(m, 'madvise'): m.madvise(mmap.MADV_DONTFORK)\nprint('x', flush=True)\nprint(m[:5])\n"},
    {"stdin", "import os\nprint(os.path.getsize('/dev/stdin'), os.path.exists('/dev/fd/0'))\n"},
    {"proc", "import os\nprint(os.readlink('//proc/self') == str(os.getpid()))\n"},
    {"proc_by_another_way", "import os\nprint(os.readlink('/usr/../proc/self') == str(os.getpid()))\n"},
    {"numbers",
     "import os, fcntl\nseen = []\n"
     "for n in range(3, 1100):\n"
     "  for look in os.fstat, os.dup, lambda n: fcntl.fcntl(n, fcntl.F_GETFD), lambda n: os.lseek(n, 0, 1):\n"
     "    try: look(n); seen.append(n)\n"
     "    except OSError as error: seen += [] if error.errno == 9 else [error]\n"
     "print(seen)\n"},
    {"closes_all",
     "import os\n"
     "def close(n):\n"
     "  try: os.close(n)\n"
     "  except OSError as error: return error.errno\n"
     "print({close(n) for n in range(3, 1100)})\n"},
    {"all_objects",
     "import gc, sys\nobjects = gc.get_objects()\n"
     "print(any(o is sys.argv for o in objects), [o for o in objects if "
     "type(o).__name__ == 'dict' and type(o) is not dict], [o for o in objects if isinstance(o, type) and "
     "o.__name__ == 'dict' and o is not dict])\n"},
    {"start_time",
     "from logging import _startTime as started\nimport logging\nprint('x', flush=True)\n"
     "print(started == logging._startTime)\n"},
    {"authkey",
     "import multiprocessing\nkey = multiprocessing.current_process().authkey\nprint('x', flush=True)\n"
     "print(key is multiprocessing.current_process().authkey)\n"},
    {"authkey_computed",
     "import multiprocessing\nkey = bytes(multiprocessing.current_process().authkey)\nprint('x', "
     "flush=True)\n"
     "print(key == multiprocessing.current_process().authkey)\n"},
    {"configuration",
     "import multiprocessing\nc = multiprocessing.current_process()._config\nkey = bytes(dict.get(c, "
     "'authkey'))\n"
     "print('x', flush=True)\nprint(key == c['authkey'], type(c), sorted(c))\n"},
    {"native_id",
     "import threading\nnumber = threading.main_thread().native_id\nprint('x', flush=True)\n"
     "print(number == threading.get_native_id())\n"},
    {"finalizer_given",
     "class C: pass\nheld = C()\nprint('x', flush=True)\nC.__del__ = lambda self, p=print: p('deleted')\n"},
    {"finalizer_of_base",
     "class A: pass\nclass B(A): pass\nclass D:\n  def __del__(self, p=print): p('deleted')\n"
     "class C(B): pass\nheld = C()\nprint('x', flush=True)\nB.__bases__ = (D,)\n"},
    {"umask_changed",
     "import os\nos.umask(0o27)\nimport json\nprint('x', flush=True)\nprint(oct(os.umask(0)))\n"},
    {"umask_asked",
     "import os\nold = os.umask(0)\nos.umask(old)\nimport json\nprint(oct(old), flush=True)\n"
     "print(oct(os.umask(0)))\n"},
    {"lazily_seeded",
     "import importlib.util, sys\nspec = importlib.util.find_spec('random')\n"
     "spec.loader = importlib.util.LazyLoader(spec.loader)\nrandom = importlib.util.module_from_spec(spec)\n"
     "sys.modules['random'] = random\nspec.loader.exec_module(random)\nrandom.Random\n"
     "seen = random.getstate()\nprint('x', flush=True)\nprint(random.getstate() == seen)\n"},
    {"unfrozen",
     "import gc\nclass C:\n  def __del__(self, p=print): p('deleted')\nheld = C()\nheld.itself = held\n"
     "gc.freeze()\ngc.unfreeze()\nprint('x', flush=True)\n"},
    {"unfrozen_after_a_collection",
     "import gc\nclass C:\n  def __del__(self, p=print): p('deleted')\nheld = C()\nheld.itself = held\n"
     "gc.collect(0)\ngc.freeze()\ngc.unfreeze()\nprint('x', flush=True)\n"},
    {"generator_goes_on",
     "def g():\n  try:\n    yield 1\n    yield 2\n  finally: print('closed')\nheld = g(); next(held)\n"
     "print('x', flush=True)\nprint(next(held))\n"},
    {"generator_ends",
     "def g():\n  try:\n    yield 1\n    yield 2\n  finally: print('closed')\nheld = g(); next(held)\n"
     "print('x', flush=True)\nprint(list(held))\n"},
    {"generator_dropped",
     "def g():\n  try: yield 1\n  finally: print('closed')\nheld = g(); next(held)\n"
     "print('x', flush=True)\ndel held\nprint('y')\n"},
    {"generator_of_with",
     "import contextlib\n@contextlib.contextmanager\ndef c(name):\n  try: yield\n  finally: print('left', "
     "name)\n"
     "with c('outer'):\n  print('x', flush=True)\n  inner = c('inner')\n  inner.__enter__()\n"},
    {"coroutine_not_awaited", "async def f(): pass\nheld = f()\nprint('x', flush=True)\n"},
    {"finalizer_of_another_class",
     "class C: pass\nclass D:\n  def __del__(self, p=print): p('deleted')\nheld = C()\n"
     "print('x', flush=True)\nheld.__class__ = D\n"},
};

TEST_P(ProgramImages, KeepHiddenState) {
  put("data.txt", "0123456789");
  for (const auto& [name, text] : kHiddenState) {
    SCOPED_TRACE(name);
    const std::string file = std::string(name) + ".py";
    put(file, text);
    const Outcome expected = run_python(GetParam(), {file});
    for (int i = 0; i < 10; ++i) expect_same(run_kiln(GetParam(), {file}).outcome, expected);
  }
}

// However a program looks at its arguments and variables, and at the objects that hold them: with its
// imports, which is run ahead, and after them.
const std::vector<Step> kLooksAtWhatItIsGiven = {
    {"argument_missing", "import sys, json\nsys.argv[9]\n"},
    {"variable_missing", "import os, json\nos.environ['NO_SUCH']\n"},
    {"variable_not_deleted", "import os, json\ndel os.environ['NO_SUCH']\n"},
    {"types",
     "import sys, os, json\n"
     "print(type(sys.argv) is list, type(sys.argv).__mro__, sys.argv.__class__, type(os.environ._data))\n"},
    {"serialized",
     "import sys, pickle, marshal, copy\n"
     "print(marshal.dumps(sys.argv), pickle.dumps(sys.argv), copy.copy(sys.argv), ' '.join(sys.argv))\n"},
    {"environment_pickled",
     "import os, pickle\nprint(len(pickle.dumps(os.environ._data)) > 9, flush=True)\n"},
    {"profiled",
     "import sys, os\nseen = []\nsys.setprofile(lambda f, e, a: seen.append((f.f_code.co_name, e)))\n"
     "os.environ.get('HOME'); 'X' in os.environ; len(os.environ)\nlen(sys.argv); sys.argv[1:]\n"
     "sys.setprofile(None)\nimport json\nprint(seen)\n"},
    {"collected",
     "import sys, gc\nfor i in range(9): gc.collect()\nprint(gc.is_tracked(sys.argv), "
     "sys.argv)\ngc.collect()\n"
     "print(sys.argv)\n"},
    {"changed", "import sys\nsys.argv.append('more')\ndel sys.argv[1]\nimport json\nprint(sys.argv)\n"},
    {"methods_of_dict",
     "import os\nprint(dict.get(os.environ._data, b'FRUIT'), b'FRUIT' in dict.keys(os.environ._data))\n"},
    {"variable_moved",
     "import os\nos.environ['HOME'] = os.environ.pop('HOME')\nos.environ['NEW'] = '1'\nprint('x', "
     "flush=True)\n"
     "print(list(os.environ)[-2:], flush=True)\nos.execv('/usr/bin/tail', ['tail', '-zn2', "
     "'/proc/self/environ'])\n"},
    {"replaced", "import sys\nsys.argv = sys.argv[:1] + ['new']\nimport json\nprint(sys.argv)\n"},
    {"dropped", "import sys\ndel sys.argv\nimport json, gc\ngc.collect()\nprint(hasattr(sys, 'argv'))\n"},
    {"copied_namespace",
     "import sys\nall = dict(vars(sys))\nimport json\nprint(all['argv'], all['argv'] is sys.argv)\n"},
    {"unpacked",
     "import sys\nname, *rest = sys.argv\nimport json\nprint(rest, [*sys.argv], max(sys.argv[1:]))\n"},
    {"variable_put",
     "import os\nos.putenv('PUT', '1')\nos.environ['SET'] = '2'\nos.environ._data[b'HIDDEN'] = b'3'\nimport "
     "json\n"
     "print([os.environ.get(n) for n in ('PUT', 'SET', 'HIDDEN')], flush=True)\nos.system('echo $PUT $SET "
     "$HIDDEN')\n"},
    {"every_variable",
     "import os\nd = os.environ._data\nall = [len(d), sorted(d)[:2], list(d.items())[:1], b'HOME' in d, d == "
     "dict(d),\n"
     "  sorted(reversed(d))[:1] if hasattr(dict, '__reversed__') else 0, type(d.copy()), d.setdefault(b'A', "
     "b'1')]\n"
     "if hasattr(d, '__or__'): all.append(len(d | {}) == len(d)); d |= {b'Q': b'2'}; all.append(len({} | d) "
     "== len(d))\n"
     "all.append(d.pop(b'A'))\nd.update({b'B': b'3'})\nimport json\nprint(all, repr(d) == repr(dict(d)), "
     "len(d))\n"},
};

TEST_P(ProgramImages, ShowWhatTheyAreGivenAsItIs) {
  for (const auto& [name, text] : kLooksAtWhatItIsGiven) {
    SCOPED_TRACE(name);
    const std::string file = std::string(name) + ".py";
    put(file, text);
    for (const std::string argument : {"one", "two"}) {
      const Outcome expected = run_python(GetParam(), {file, argument, "b"});
      for (int i = 0; i < 5; ++i) expect_same(run_kiln(GetParam(), {file, argument, "b"}).outcome, expected);
      expect_same(run_kiln(GetParam(), {file, argument, "b"}, {"FRUIT=" + argument}).outcome,
                  run_python(GetParam(), {file, argument, "b"}, {"FRUIT=" + argument}));
    }
  }
}

TEST_P(ProgramImages, KeepTheirFilesOpen) {
  put("data.txt", "0123456789");
  put("open.py",
      "files = [open('data.txt') for _ in range(150)]\nfiles[149].read(3)\nprint(files[149].fileno())\n"
      "print(files[149].read(3), files[7].read())\n");
  expect_warm(GetParam(), {"open.py"});
  EXPECT_EQ(last_step_of("open.py"), "writes to standard output");
}

// Who reads bytecode as data sees it as it is.
TEST_P(ProgramImages, SeeBytecodeChange) {
  put("reads_bytecode.py",
      "import importlib.util, used\nprint(open(importlib.util.cache_from_source(used.__file__), "
      "'rb').read())\n");
  put("used.py", "VALUE = 1\n");
  expect_warm(GetParam(), {"reads_bytecode.py"});
  const Outcome unchecked = run({.argv = {GetParam().path, "-m", "compileall", "-q", "-f",
                                          "--invalidation-mode", "unchecked-hash", "used.py"},
                                 .cwd = program_dir});
  ASSERT_EQ(describe_status(unchecked.status), "exit 0") << unchecked.err;
  expect_same(run_kiln(GetParam(), {"reads_bytecode.py"}).outcome,
              run_python(GetParam(), {"reads_bytecode.py"}));
}

TEST_P(ProgramImages, StopWhereTheConfigurationSays) {
  put("trusting.py", "import time\nimport settings\nprint(settings.STARTED)\nimport json\n");
  put("settings.py", "import time\nSTARTED = time.time()\n");
  put("kiln.toml", "images.trust = [\"set*\"]\nimages.never = [\"never.py\"]\n");
  put("never.py", "print(1)\n");
  const auto warm = [](const std::string& program) {
    return run({.argv = {kiln_binary(), "warm", "--python", GetParam().path, program},
                .environment = environment(),
                .cwd = program_dir});
  };
  const Outcome trusting = warm("trusting.py");
  EXPECT_EQ(describe_status(trusting.status), "exit 0") << trusting.out << trusting.err;
  const std::string said = run_kiln(GetParam(), {"trusting.py"}).outcome.out;
  EXPECT_EQ(run_kiln(GetParam(), {"trusting.py"}).outcome.out, said) << "it was asked once" << trusting.out;
  const Outcome never = warm("never.py");
  EXPECT_EQ(describe_status(never.status), "exit 1");
  EXPECT_NE(never.out.find("It is not run ahead: images.never names it."), std::string::npos)
      << never.out << never.err;
  std::filesystem::remove(program_dir + "/kiln.toml");
  run_kiln(GetParam(), {"trusting.py"});
  const std::string fresh = run_kiln(GetParam(), {"trusting.py"}).outcome.out;
  EXPECT_NE(fresh, said);
}

// A wait that is a part of what is run ahead would be over at once.
TEST_P(ProgramImages, WaitAsLong) {
  put("waits.py",
      "import threading, time\nt = time.perf_counter\nlock = threading.Lock()\nlock.acquire()\n"
      "lock.acquire(timeout=0.3)\nprint('waited')\n");
  for (int i = 0; i < 8; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(run_kiln(GetParam(), {"waits.py"}).outcome.out, "waited\n");
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(300));
  }
}

// Whichever way a program looks at them.
TEST_P(ProgramImages, SeeTheirOwnArgumentsInSums) {
  put("sums.py", "import sys\nc = ['first'] + sys.argv\nprint(c, sum([sys.argv], []))\n");
  expect_warm(GetParam(), {"sums.py"});
  expect_same(run_kiln(GetParam(), {"sums.py", "b", "c"}).outcome,
              run_python(GetParam(), {"sums.py", "b", "c"}));
}

// What a scan of a directory tells of its entries; and what is looked at below /dev.
TEST_P(ProgramImages, SeeKindsOfEntriesAndDevices) {
  const std::string device = "/dev/shm/kiln-test-" + std::to_string(::getpid());
  std::filesystem::create_directory(program_dir + "/entries");
  put("entries/a", "");
  put("kinds.py", "import os\nprint([(e.name, e.is_dir()) for e in os.scandir('entries')], os.path.exists('" +
                      device + "'))\n");
  expect_warm(GetParam(), {"kinds.py"});
  std::filesystem::remove(program_dir + "/entries/a");
  std::filesystem::create_directory(program_dir + "/entries/a");
  expect_same(run_kiln(GetParam(), {"kinds.py"}).outcome, run_python(GetParam(), {"kinds.py"}));
  expect_warm(GetParam(), {"kinds.py"});
  write_file(device, "");
  expect_same(run_kiln(GetParam(), {"kinds.py"}).outcome, run_python(GetParam(), {"kinds.py"}));
  std::filesystem::remove(device);
}

// Hooks of the program's hear what they hear in python.
TEST_P(ProgramImages, RaiseNoAuditEvents) {
  if (GetParam().minor == 8) GTEST_SKIP() << "there a look at a frame's code is an event";
  put("hears.py",
      "import sys\nseen = []\nsys.addaudithook(lambda event, arguments: seen.append(event))\nimport base64\n"
      "print(seen)\n");
  expect_warm(GetParam(), {"hears.py"});
}

// A step into the interpreter would wait for ever then. Nothing else would be run ahead meanwhile.
TEST_P(ProgramImages, StopBeforeSubinterpreters) {
  put("creates.py",
      "try: import _xxsubinterpreters as interpreters\nexcept ImportError: import _interpreters as "
      "interpreters\n"
      "other = interpreters.create()\ninterpreters.destroy(other)\nprint('done')\n");
  put("another.py", "print('another')\n");
  expect_warm(GetParam(), {"creates.py"});
  const auto step = last_step_of("creates.py").value_or("none");
  EXPECT_THAT(step, testing::AnyOf("creates a subinterpreter", "asks for its thread's id"));
  expect_warm(GetParam(), {"another.py"});
}

// A program that takes more is not run ahead, even if it gives it back.
TEST_P(ProgramImages, TakeNoMoreMemoryThanTheyMay) {
  put("large.py", "text = bytearray(200 << 20)\ndel text\nprint('large')\n");
  put("small.py", "text = bytearray(2 << 20)\ndel text\nprint('small')\n");
  const auto warm = [](const std::string& program) {
    return run({.argv = {kiln_binary(), "warm", "--python", GetParam().path, program},
                .environment = environment({"KILN_IMAGES_MEMORY=100MiB"}),
                .cwd = program_dir});
  };
  EXPECT_EQ(describe_status(warm("small.py").status), "exit 0");
  const Outcome large = warm("large.py");
  EXPECT_EQ(describe_status(large.status), "exit 1");
  EXPECT_THAT(large.out, testing::HasSubstr("It could not be run ahead"));
  kiln({"daemon", "stop"});
}

// Of whatever suffix the program has given to importlib.
TEST_P(ProgramImages, SeeModulesOfOtherLanguagesAppear) {
  put("main.py",
      "import sys\nfrom importlib.machinery import FileFinder, SourceFileLoader\n"
      "sys.path_hooks.insert(0, FileFinder.path_hook((SourceFileLoader, ['.hy', '.py'])))\n"
      "sys.path_importer_cache.clear()\n"
      "try: import plugin\nexcept ImportError: print('none')\nelse: print(plugin.value)\n");
  expect_warm(GetParam(), {"main.py"});
  put("plugin.hy", "value = 'there'\n");
  expect_same(run_kiln(GetParam(), {"main.py"}).outcome, run_python(GetParam(), {"main.py"}));
}

TEST_P(ProgramImages, SeeWhatAnOpenDirectoryTells) {
  std::filesystem::create_directory(program_dir + "/directory");
  put("main.py",
      "import os\nfd = os.open('directory', os.O_RDONLY)\nprint(os.fstat(fd).st_mtime_ns, "
      "os.stat(fd).st_ctime_ns)\n");
  expect_warm(GetParam(), {"main.py"});
  put("directory/new", "");
  std::filesystem::remove(program_dir + "/directory/new");
  expect_same(run_kiln(GetParam(), {"main.py"}).outcome, run_python(GetParam(), {"main.py"}));
}

// By name there is the program, and nothing else: neither an image of it, nor the client.
TEST_P(ProgramImages, AreNotFoundByTheNameOfTheirProgram) {
  put("counted_program.py",
      "import glob\nfound = 0\n"
      "for path in glob.glob('/proc/[0-9]*/cmdline'):\n"
      "    try:\n        found += b'counted_' b'program' in open(path, 'rb').read()\n"
      "    except OSError: pass\nprint(found)\n");
  expect_warm(GetParam(), {"counted_program.py"});
}

// The image's word on a run may come a moment later.
TEST_P(ProgramImages, CountWhatTheySave) {
  put("saving.py", "x = sum(range(3_000_000))\nprint(x)\n");
  expect_warm(GetParam(), {"saving.py"});
  kiln({"stats", "--reset"});
  const auto saved_us = [] {
    const auto stats = json::parse(kiln({"stats", "--json"}).out);
    EXPECT_GE(stats.at("served").to_number<int>(), stats.at("warm").to_number<int>());
    return stats.at("saved_us").at("warm").to_number<std::int64_t>();
  };
  EXPECT_EQ(run_kiln(GetParam(), {"saving.py"}).log.mode, "warm");
  EXPECT_TRUE(await([&] { return saved_us() > 1'000; })) << saved_us();
}

// Large programs leave their memory to a process that takes it apart when the client has gone.
TEST_P(ProgramImages, LeaveNoProcessBehind) {
  put("large.py", "import json\nkept = b'x' * (40 << 20)\nprint('hello')\n");
  expect_warm(GetParam(), {"large.py"});
  const auto image = last_image_of("large.py").value().at("pid").to_number<pid_t>();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(run_kiln(GetParam(), {"large.py"}).outcome.out, "hello\n");
  EXPECT_TRUE(await([&] { return children_of(image).size() == 2; })) << children_of(image).size();
}

// A mapping holds what flock(2) has locked; who sees that the program has ended finds it free.
constexpr char kLocks[] = R"(
import fcntl, json, mmap, os
kept = b'x' * (40 << 20)
file = os.open('data', os.O_RDWR)
fcntl.flock(file, fcntl.LOCK_EX)
mapped = mmap.mmap(file, 0)
is_ready, ready = os.pipe()
parent = os.getpid()
if os.fork() == 0:
    mapped.close()
    os.close(file)
    other = open('data', 'r+b')
    os.write(ready, b'.')
    while os.getppid() == parent:
        os.sched_yield()
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print('free', flush=True)
    except OSError:
        print('locked', flush=True)
    os._exit(0)
os.read(is_ready, 1)
)";

TEST_P(ProgramImages, LeaveNothingLocked) {
  put("data", "some data\n");
  put("locks.py", kLocks);
  expect_warm(GetParam(), {"locks.py"});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(run_kiln(GetParam(), {"locks.py"}).outcome.out, "free\n");
}

// Neither an image nor a child that waits for a run keeps what it was sent for a run that comes later.
TEST_P(ProgramImages, KeepNoSignals) {
  put("signals.py", "print('hello')\n");
  expect_warm(GetParam(), {"signals.py"});
  const auto status = json::parse(kiln({"status", "--json"}).out);
  for (const auto& image : status.at("images").as_array()) {
    if (image.at("kind").as_string() != "program") continue;
    const auto pid = image.at("pid").to_number<pid_t>();
    for (const int signal : {SIGTERM, SIGUSR1, SIGHUP, SIGALRM}) ::kill(pid, signal);
    for (const pid_t spare : children_of(pid)) {
      for (const int signal : {SIGTERM, SIGUSR1, SIGHUP, SIGALRM}) ::kill(spare, signal);
    }
  }
  for (int i = 0; i < 4; ++i) {
    const Seen seen = run_kiln(GetParam(), {"signals.py"});
    EXPECT_EQ(seen.outcome.out, "hello\n");
    EXPECT_EQ(describe_status(seen.outcome.status), "exit 0") << seen.log.line;
  }
}

// A program that tries every effect it can while it is run ahead leaves no trace: the effects are those of
// the runs.
TEST_P(ProgramImages, HaveNoEffectWhileTheyAreRunAhead) {
  put("main.py",
      "import ctypes, os\n"
      "libc = ctypes.CDLL(None)\n"
      "fd = libc.open(b'count', os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)\n"
      "libc.write(fd, b'x', 1)\n"
      "libc.close(fd)\n");
  int runs = 0;
  int warm = 0;
  EXPECT_TRUE(await([&] {
    ++runs;
    warm += run_kiln(GetParam(), {"main.py"}).log.mode == "warm" ? 1 : 0;
    return warm == 3;
  }));
  EXPECT_EQ(read_file(work_dir() + "/count"), std::string(static_cast<std::size_t>(runs), 'x'));
}

}  // namespace
}  // namespace kiln::e2e
