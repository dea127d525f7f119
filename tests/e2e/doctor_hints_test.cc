// `kiln doctor` promises that each finding comes with the command that mends it. So each fault is made for
// real, the hint is executed by the shell exactly as it was printed, and the finding must be gone.
//
// Root may do everything, so rights of files would be no fault: then an ordinary user is played.
//
// Not here, for no test can bring them about: hints that ask for sudo(8), of which the form alone is looked
// at (tests/unit/findings_test.cc has the others), and failed images, whose hint tells more and mends
// nothing.
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <ostream>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr uid_t kNobody = 65534;

struct Fault {
  std::string name;
  std::string make;     // shell commands, in a directory of their own
  std::string finding;  // what the line says
  std::string hint;     // what the hint begins with
};

void PrintTo(const Fault& fault, std::ostream* out) {
  *out << fault.name;
}

// Bytecode of two sources, and so two objects in the store.
const std::string kFill =
    "echo 'x = 1' > a.py; echo 'y = 1' > b.py; kiln precompile --quiet a.py b.py; kiln gc > gc.out; ";

// A build tree, with a cmake(1) that builds by copying.
const std::string kBuildTree =
    "mkdir -p t/bin fake; cp $BIN/kiln $BIN/kilnd t/bin; cp -r $BIN/../lib t; touch t/CMakeCache.txt; "
    "echo \"cp $BIN/kilnd $PWD/t/bin\" > fake/cmake; chmod +x fake/cmake; "
    "BIN=$PWD/t/bin PATH=$PWD/t/bin:$PWD/fake:/usr/bin:/bin; ";

// The places are the defaults: $R, the runtime directory, and $C, the cache.
const Fault kFaults[] = {
    // Programs.
    {"not_on_path", "PATH=/usr/bin:/bin", "kiln is not on PATH", "export PATH="},
    {"another_kiln_on_path", "mkdir o; echo > o/kiln; chmod +x o/kiln; PATH=$PWD/o:$PATH",
     "the kiln on PATH is another", "export PATH="},
    {"a_link_to_nothing", "mkdir l; ln -s $BIN/kiln l/python3.99; PATH=$PATH:$PWD/l",
     "leads to kiln, and no other python3.99 follows", "rm "},
    {"a_link_without_effect", "mkdir l; ln -s $BIN/kiln l/python3; PATH=$PATH:$PWD/l", "has no effect",
     "export PATH="},
    {"no_interpreter", "PATH=$BIN", "no interpreter named python3 on PATH", "export KILN_PYTHON="},
    {"an_interpreter_that_is_gone", "export KILN_PYTHON=/nowhere/python", "no interpreter /nowhere/python",
     "export KILN_PYTHON="},
    {"an_interpreter_that_is_no_program",
     "printf '#!/bin/sh\\nexec /usr/bin/python3 \"$@\"\\n' > p; export KILN_PYTHON=$PWD/p",
     "cannot be executed", "chmod +x "},
    {"an_interpreter_that_does_not_start",
     "printf '#!/bin/sh\\nexit 1\\n' > p; chmod +x p; export KILN_PYTHON=$PWD/p", "does not start",
     "export KILN_PYTHON="},
    {"an_interpreter_that_is_a_script",
     "printf '#!/bin/sh\\nexec /usr/bin/python3 \"$@\"\\n' > p; chmod +x p; export KILN_PYTHON=$PWD/p",
     "a version manager's script", "export KILN_PYTHON="},
    {"a_broken_environment",
     "mkdir -p v/bin; touch v/pyvenv.cfg; ln -s /nowhere v/bin/python; export VIRTUAL_ENV=$PWD/v",
     "has no interpreter any more", "python3 -m venv --clear "},
    {"what_is_no_environment", "mkdir v; touch v/precious; export VIRTUAL_ENV=$PWD/v",
     "has no interpreter any more", "unset VIRTUAL_ENV"},
    {"turned_off", "export KILN_DISABLE=1", "KILN_DISABLE is set", "unset "},
    {"a_misspelt_variable", "export KILN_STORE_LIMT=1", "is no variable of Kiln's", "unset "},
    {"a_daemon_that_was_not_built", kBuildTree + "rm t/bin/kilnd", "kilnd is missing", "rm -f "},
    {"a_daemon_that_is_broken", kBuildTree + "echo > t/bin/kilnd", "kilnd does not start", "rm -f "},
    // Configuration.
    {"an_unknown_key", "printf '[store]\\nlimit = \"1GiB\"\\nlimits = 1\\n' > $CONFIG", "unknown key",
     "sed -i "},
    {"two_mistakes", "printf 'loud = 1\\n[images]\\nlimit = 3\\nprograms = 1\\n' > $CONFIG",
     "unknown key loud", "sed -i "},
    {"a_syntax_error", "printf '[images]\\nlimit = = 3\\n' > $CONFIG", "kiln.toml:2:", "sed -i "},
    {"a_bracket_that_is_open", "printf '[watch]\\nignore = [\"a\"\\n' > $CONFIG", "kiln.toml:", ""},
    {"an_unknown_section", "printf '[strange]\\nx = 1\\n' > $CONFIG", "unknown key", ""},
    {"a_configuration_that_is_a_link", "echo 'loud = 1' > real.toml; ln -s $PWD/real.toml $CONFIG",
     "unknown key loud", "sed -i --follow-symlinks "},
    {"a_key_of_the_user_in_a_project", "printf '[store]\\nlimit = \"1GiB\"\\n' > kiln.toml",
     "only the user's own file may set it", "sed -i "},
    {"a_configuration_that_is_no_file", "mkdir $CONFIG", "it is not a file", "mv "},
    {"a_configuration_that_may_not_be_read", "echo > $CONFIG; chmod 0 $CONFIG", "cannot read", "chmod u+r "},
    {"a_variable_with_a_mistake", "export KILN_STORE_LIMIT=lots", "KILN_STORE_LIMIT: ", "unset "},
    {"a_configuration_without_a_path", "export KILN_CONFIG=x", "is not an absolute path", "unset "},
    {"a_mistake_that_the_daemon_has_met",
     "echo 'loud = 1' > $CONFIG; kiln daemon start 2> err > out; rm $CONFIG", "the daemon has met a mistake",
     "kiln daemon restart"},
    {"a_mistake_that_the_daemon_has_met_and_is_there",
     "echo 'loud = 1' > $CONFIG; kiln daemon start 2> err > out", "unknown key loud", "sed -i "},
    // Directories.
    {"no_home", "unset HOME", "neither HOME nor KILN_CACHE_DIR is set", "export KILN_CACHE_DIR="},
    {"a_runtime_directory_without_a_path", "export KILN_RUNTIME_DIR=run", "is not an absolute path",
     "unset "},
    {"a_cache_directory_without_a_path", "export KILN_CACHE_DIR=run", "is not an absolute path", "unset "},
    {"a_cache_that_is_a_file", "echo > f; export KILN_CACHE_DIR=$PWD/f", "is no directory", "unset "},
    {"a_runtime_directory_that_is_a_file", "echo > f; export KILN_RUNTIME_DIR=$PWD/f", "is no directory",
     "unset "},
    {"a_file_in_the_place_of_the_cache", "mkdir -p ${C%/*}; echo > $C", "is no directory", "mv "},
    {"a_file_in_the_place_of_the_runtime_directory", "echo > $R", "is no directory", "mv "},
    {"a_cache_below_a_file", "echo > f; export KILN_CACHE_DIR=$PWD/f/c", "cannot be made", "unset "},
    {"a_default_cache_below_a_file", "echo > f; export XDG_CACHE_HOME=$PWD/f", "cannot be made",
     "export KILN_CACHE_DIR="},
    {"a_default_runtime_directory_below_a_file", "echo > f; export XDG_RUNTIME_DIR=$PWD/f", "cannot be made",
     "export KILN_RUNTIME_DIR="},
    {"a_runtime_directory_of_the_kernel", "export KILN_RUNTIME_DIR=/proc/kiln", "the kernel's own", "unset "},
    {"a_cache_that_is_a_link", "mkdir -m 700 c; ln -s c l; export KILN_CACHE_DIR=$PWD/l",
     "is a symbolic link", "export KILN_CACHE_DIR="},
    {"a_cache_that_is_a_link_to_nothing", "ln -s c l; export KILN_CACHE_DIR=$PWD/l", "is a symbolic link",
     "unset "},
    {"a_cache_of_root", "export KILN_CACHE_DIR=/usr/share", "belongs to another user", "unset "},
    {"a_cache_that_cannot_be_reached", "mkdir d; chmod 0 d; export KILN_CACHE_DIR=$PWD/d/c",
     "cannot be reached", "unset "},
    {"an_open_cache", "mkdir -p $C; chmod 777 $C", "can be written by other users", "chmod 700 "},
    {"an_open_runtime_directory", "mkdir -m 777 $R; chmod 777 $R", "can be written by other users",
     "chmod 700 "},
    {"an_open_cache_with_other_things", "mkdir d; echo > d/x; chmod 777 d; export KILN_CACHE_DIR=$PWD/d",
     "can be written by other users", "unset "},
    {"a_cache_that_may_not_be_written", "mkdir -p $C; chmod 500 $C", "cannot be written to", "chmod "},
    {"a_used_cache_that_may_not_be_written", kFill + "chmod 500 $C", "cannot be written to", "chmod "},
    {"a_left_cache_that_may_not_be_written", kFill + "kiln daemon stop > out; chmod 500 $C",
     "cannot be written to", "chmod "},
    {"a_cache_without_rights", "mkdir -p $C; chmod 0 $C", "cannot be written to", "chmod "},
    {"a_runtime_directory_that_may_not_be_written", "mkdir -m 500 $R", "cannot be written to", "chmod "},
    {"a_used_runtime_directory_that_may_not_be_written", "kiln daemon start > out; chmod 500 $R",
     "cannot be written to", "chmod "},
    {"a_left_runtime_directory_that_may_not_be_written",
     "kiln daemon start > out; kiln daemon stop > out; chmod 500 $R", "cannot be written to", "chmod "},
    {"a_runtime_directory_without_rights", "kiln daemon start > out; kiln daemon stop > out; chmod 0 $R",
     "cannot be written to", "chmod "},
    {"files_that_may_not_grow", "ulimit -S -f 0", "no file may grow here", "ulimit -f unlimited"},
    // The daemon.
    {"no_socket", "mkdir -m 700 $R; mkdir $R/kilnd.sock; echo > $R/kilnd.sock/x", "is no socket", "rm -r "},
    {"a_stopped_daemon", "kiln daemon start > out; kill -STOP $(daemon_pid)", "does not answer",
     "kill -CONT "},
    {"a_daemon_of_another_cache", "kiln daemon start > out; export KILN_CACHE_DIR=$PWD/c",
     "keeps its cache in", "kiln daemon restart"},
    {"a_daemon_that_keeps_no_index",
     "kiln daemon start > out; export KILN_RUNTIME_DIR=$PWD/run; kiln daemon start > out",
     "keeps the index of", "export KILN_RUNTIME_DIR="},
    {"a_daemon_that_kept_no_index",
     "kiln daemon start > out; KILN_RUNTIME_DIR=$PWD/run kiln watch . > out 2>&1; kiln daemon stop > out; "
     "export KILN_RUNTIME_DIR=$PWD/run",
     "has an index of its own, not that of", "kiln daemon restart"},
    {"a_lock_of_the_index_that_is_no_file",
     "mkdir -p $C/index.db.lock; chmod 700 $C; kiln daemon start > out",
     "has an index of its own, not that of", "rm -r "},
    {"a_lock_of_the_index_that_may_not_be_written",
     "mkdir -p $C; chmod 700 $C; touch $C/index.db.lock; chmod 400 $C/index.db.lock; kiln daemon start > out",
     "has an index of its own, not that of", "chmod 600 "},
    // What it keeps.
    {"an_index_that_is_no_file", "mkdir -p $C/index.db; chmod 700 $C", "is no file", "mv "},
    {"an_index_that_may_not_be_read", kFill + "kiln daemon stop > out; chmod 0 $C/index.db",
     "cannot be read and written", "chmod 600 "},
    {"a_used_index_that_may_not_be_read", kFill + "chmod 0 $C/index.db", "cannot be read and written",
     "chmod 600 "},
    {"a_log_of_the_index_that_may_not_be_read", kFill + "chmod 0 $C/index.db-wal",
     "cannot be read and written", "chmod 600 "},
    {"a_damaged_index", kFill + "kiln daemon stop > out; head -c 8192 /dev/zero > z; cat z > $C/index.db", "",
     "kiln daemon restart"},
    {"a_used_index_that_is_damaged",
     kFill + "kiln daemon restart > out; kiln list > out; "
             "head -c 20000 /dev/zero | dd of=$C/index.db bs=4096 seek=1 conv=notrunc 2> err",
     "", "kiln daemon restart"},
    {"an_index_that_was_set_aside", "mkdir -p $C; chmod 700 $C; echo nothing > $C/index.db; kiln list > out",
     "a former index was unusable", "rm "},
    {"a_store_that_is_a_file", "mkdir -p $C; chmod 700 $C; echo > $C/store", "is no directory", "mv "},
    {"a_store_without_rights", kFill + "chmod 0 $C/store", "cannot be read and written", "chmod 700 "},
    {"a_left_store_without_rights", kFill + "kiln daemon stop > out; chmod 0 $C/store",
     "cannot be read and written", "chmod 700 "},
    {"a_store_that_may_not_be_written", kFill + "chmod 500 $C/store", "cannot be read and written",
     "chmod 700 "},
    {"an_overlay_that_is_a_file", "mkdir -p $C; chmod 700 $C; echo > $C/overlay", "is no directory", "mv "},
    {"damaged_objects", kFill + "for f in $C/store/*/*; do echo damage > $f; done", "damaged: 2", "kiln gc"},
    {"damaged_objects_of_a_former_daemon",
     kFill + "kiln daemon stop > out; for f in $C/store/*/*; do chmod 0 $f; done", "damaged: 2", "kiln gc"},
    // What is watched.
    {"a_tree_that_is_gone", "mkdir tree; kiln watch tree > out; rmdir tree", "is watched, but not there",
     "kiln unwatch "},
    {"a_tree_beyond_the_limit",
     "mkdir -p tree/a tree/b; KILN_WATCH_LIMIT=1 kiln daemon start > out; kiln watch tree > out 2>&1",
     "no watch is left: watch.limit grants 1", "KILN_WATCH_LIMIT="},
    {"a_tree_with_a_mistake",
     "mkdir tree; kiln watch tree > out; echo 'loud = 1' > tree/kiln.toml; kiln daemon reload > out",
     "is watched by former settings", "sed -i "},
    {"imports_beyond_the_limit",
     "mkdir m n; touch m/a.py n/b.py; echo 'import a, b' > p.py; export PYTHONPATH=$PWD/m:$PWD/n; "
     "KILN_WATCH_LIMIT=1 kiln daemon start > out; "
     "until kiln run p.py && kiln doctor | grep -q 'directories of what was imported'; do :; done",
     "directories of what was imported are not watched", "KILN_WATCH_LIMIT="},
};

// Everything the shell needs, and what is seen of it.
constexpr char kScript[] = R"(
daemon_pid() { kiln status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["daemon"]["pid"])'; }
export XDG_RUNTIME_DIR=$PWD/xdg HOME=$PWD/home
R=$XDG_RUNTIME_DIR/kiln C=$HOME/.cache/kiln CONFIG=$HOME/.config/kiln/kiln.toml
export PATH=$BIN:/usr/bin:/bin
mkdir -p -m 700 xdg; mkdir -p home/.config/kiln
examine() { $BIN/kiln doctor 2>&1; }
end() { XDG_RUNTIME_DIR=$PWD/xdg $BIN/kiln daemon stop > $PWD/end.out 2>&1; chmod -R u+rwx . 2> /dev/null; }
eval "$MAKE"
before=$(examine)
code=$?
hint=$(echo "$before" | /usr/bin/grep -A2 -E "^(warn|bad|error).*$FINDING" | /usr/bin/sed -n '/hint: /{s/^ *hint: //p;q}')
echo "$before"
echo "[before: exit $code]"
echo "[hint: $hint]"
eval "$hint" > $PWD/said 2>&1
echo "[the hint: exit $?]"
/usr/bin/cat $PWD/said
examine
echo "[after: exit $?]"
$BIN/kiln daemon stop > /dev/null 2>&1
unset KILN_RUNTIME_DIR KILN_CACHE_DIR
export HOME=$PWD/home XDG_RUNTIME_DIR=$PWD/xdg
end
)";

class Hints : public testing::Test {
 protected:
  // Who plays an ordinary user must reach the programs, too.
  static void SetUpTestSuite() {
    place_ = "/tmp/kiln-hints-" + std::to_string(::getpid());
    fs::create_directories(place_ + "/bin");
    const fs::path build = fs::path(kiln_binary()).parent_path().parent_path();
    for (const char* name : {"kiln", "kilnd"}) fs::copy(build / "bin" / name, place_ + "/bin");
    fs::copy(build / "lib", place_ + "/lib", fs::copy_options::recursive);
  }
  static void TearDownTestSuite() { fs::remove_all(place_); }

  void SetUp() override {
    fs::create_directory(work());
    if (::geteuid() == 0) {
      ASSERT_EQ(::chown(work().c_str(), kNobody, kNobody), 0);
    }
  }
  void TearDown() override { fs::remove_all(work()); }

  static std::string work() { return place_ + "/work"; }

  static void become_ordinary() {
    if (::geteuid() != 0) return;
    if (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) ::_exit(126);
  }

  static Outcome mend(
      const std::string& make, const std::string& finding, const std::function<void()>& prepare = [] {}) {
    return run(
        {.argv = {"/bin/sh", "-c", kScript},
         .environment = {"BIN=" + place_ + "/bin", "LANG=C.UTF-8", "MAKE=" + make, "FINDING=" + finding},
         .cwd = work(),
         .in_child = [&prepare] {
           prepare();
           become_ordinary();
         }});
  }

  static std::string after(const std::string& out) {
    const auto at = out.find("[the hint: ");
    return at == std::string::npos ? out : out.substr(at);
  }

  static void expect_mended(const Outcome& outcome, const Fault& fault) {
    EXPECT_THAT(outcome.out, HasSubstr("[hint: " + fault.hint)) << outcome.out;
    EXPECT_THAT(outcome.out, Not(HasSubstr("[hint: ]"))) << outcome.out;
    EXPECT_THAT(outcome.out, HasSubstr("[after: exit 0]\n")) << outcome.out;
    if (!fault.finding.empty()) {
      EXPECT_THAT(after(outcome.out), Not(ContainsRegex("\n(warn|bad|error)[^\n]*" + fault.finding)))
          << outcome.out;
    }
    EXPECT_EQ(outcome.err, "");
    EXPECT_FALSE(outcome.timed_out);
  }

  static std::string place_;
};

std::string Hints::place_;

class DoctorHints : public Hints, public testing::WithParamInterface<Fault> {};

TEST_P(DoctorHints, Mend) {
  const Fault& fault = GetParam();
  expect_mended(mend(fault.make, fault.finding), fault);
}

INSTANTIATE_TEST_SUITE_P(All, DoctorHints, testing::ValuesIn(kFaults),
                         [](const auto& info) { return info.param.name; });

// What only root can bring about, for the ordinary user.
class RootDoctorHints : public Hints {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
    Hints::SetUp();
  }

  // For the user that is played.
  static void give_directory(const std::string& path) {
    fs::create_directories(path);
    ASSERT_EQ(::chown(path.c_str(), kNobody, kNobody), 0);
    ASSERT_EQ(::chmod(path.c_str(), 0700), 0);
  }

  // The cache is a file system of SIZE.
  static std::function<void()> on_small_disk(const std::string& size) {
    const std::string cache = work() + "/home/.cache/kiln";
    give_directory(work() + "/home");
    give_directory(work() + "/home/.cache");
    give_directory(cache);
    return [cache, options = "mode=0700,uid=65534,size=" + size] {
      if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount("small", cache.c_str(), "tmpfs", 0, options.c_str()) != 0)
        ::_exit(126);
    };
  }
};

TEST_F(RootDoctorHints, AFullDisk) {
  const Fault fault{"", "cat /dev/zero > $C/all 2> err", "nothing can be written", "export KILN_CACHE_DIR="};
  const Outcome outcome = mend(fault.make, fault.finding, on_small_disk("64k"));
  if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "nothing can be mounted here";
  expect_mended(outcome, fault);
}

TEST_F(RootDoctorHints, ADiskThatKilnHasFilled) {
  const Fault fault{"",
                    "mkdir -p $C/store/ab; head -c 6000000 /dev/zero > $C/store/ab/$(printf '%062d' 0); "
                    "cat /dev/zero > $C/all 2> err",
                    "nothing can be written", "kiln gc --limit 0"};
  const Outcome outcome = mend(fault.make, fault.finding, on_small_disk("16m"));
  if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "nothing can be mounted here";
  expect_mended(outcome, fault);
}

TEST_F(RootDoctorHints, ASocketOfAnotherUser) {
  give_directory(work() + "/xdg");
  give_directory(work() + "/xdg/kiln");
  const Outcome bound = run(
      {.argv = {any_python().path, "-c", "import socket; socket.socket(socket.AF_UNIX).bind('kilnd.sock')"},
       .cwd = work() + "/xdg/kiln"});
  ASSERT_EQ(bound.err, "");
  const Fault fault{"", "", "kilnd.sock belongs to another user", "rm -r "};
  expect_mended(mend(fault.make, fault.finding), fault);
}

// Of what sudo(8) would mend the form alone is looked at.
TEST_F(RootDoctorHints, AnIndexOfAnotherUser) {
  for (const char* directory : {"/home", "/home/.cache", "/home/.cache/kiln"})
    give_directory(work() + directory);
  write_file(work() + "/home/.cache/kiln/index.db", "");
  const Outcome outcome = mend("", "index.db belongs to another user");
  EXPECT_THAT(outcome.out, HasSubstr("[hint: sudo chown -R 65534 " + work() + "/home/.cache/kiln/index.db]"));
}

}  // namespace
}  // namespace kiln::e2e
