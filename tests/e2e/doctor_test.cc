// `kiln doctor`: each fault is made for real, and found with the command that mends it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "tests/e2e/harness.h"
#include "tests/e2e/other_build.h"
#include "tests/e2e/terminal.h"
#include "tests/e2e/unwritable_tree.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr uid_t kNobody = 65534;

std::string bin_dir() {
  return fs::path(kiln_binary()).parent_path();
}

// As it is printed; without a HINT up to the end of the line.
std::string line(const std::string& severity, const std::string& check, const std::string& what,
                 const std::string& hint = {}) {
  char head[64];
  std::snprintf(head, sizeof head, "%-4s  %-17s  ", severity.c_str(), check.c_str());
  return head + what + "\n" + (hint.empty() ? "" : "      hint: " + hint + "\n");
}

class Doctor : public testing::Test {
 protected:
  void SetUp() override {
    reset_work_dir();
    fs::remove_all(user_config_);
    write_file(user_config_, "");  // which KILN_CONFIG names
    kiln({"daemon", "start"});
  }
  void TearDown() override {
    fs::remove_all(user_config_);
    kiln({"daemon", "restart"});
  }

  static Outcome examine(const std::vector<std::string>& changes = {}) {
    std::vector<std::string> all{"PATH=" + bin_dir() + ":/usr/local/bin:/usr/bin:/bin"};
    all.insert(all.end(), changes.begin(), changes.end());
    return kiln({"doctor"}, all);
  }

  static void expect_bad(const Outcome& outcome, const std::string& lines) {
    EXPECT_THAT(outcome.out, HasSubstr(lines));
    EXPECT_THAT(outcome.out, ContainsRegex("\n(One thing needs|[0-9]+ things need) mending\\.\n$"));
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(describe_status(outcome.status), "exit 1");
  }

  // It works, with less than it could.
  static void expect_warning(const Outcome& outcome, const std::string& lines) {
    EXPECT_THAT(outcome.out, HasSubstr(lines));
    EXPECT_THAT(outcome.out, testing::EndsWith("\nNothing needs mending.\n"));
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(describe_status(outcome.status), "exit 0");
  }

  // A directory with one object in the store, and an index that lies in its file alone. The object's path.
  static std::string fill_cache() {
    write_file(work_dir() + "/a.py", "x = 1\n");
    kiln({"precompile", "--force", "a.py"});
    kiln({"gc"});  // what waits is written before
    kiln({"daemon", "restart"});
    kiln({"list"});
    for (const auto& entry : fs::recursive_directory_iterator(cache_dir() + "/store")) {
      if (entry.is_regular_file()) return entry.path();
    }
    return {};
  }

  static void overwrite(const std::string& path, off_t offset, const std::string& bytes) {
    const UniqueFd file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    ASSERT_EQ(::pwrite(file.get(), bytes.data(), bytes.size(), offset), static_cast<ssize_t>(bytes.size()));
  }

  static std::string write_program(const std::string& name, const std::string& script) {
    const std::string path = work_dir() + "/" + name;
    write_file(path, script);
    fs::permissions(path, fs::perms::owner_all);
    return path;
  }

  const std::string user_config_ = home_dir() + "/kiln.toml";
};

TEST_F(Doctor, FindsNothingWrong) {
  fill_cache();
  const Outcome outcome = examine();
  EXPECT_THAT(outcome.out, Not(ContainsRegex("(^|\n)(skip|warn|bad) ")));
  EXPECT_THAT(outcome.out, HasSubstr(line("ok", "socket", runtime_dir() + "/kilnd.sock")));
  EXPECT_THAT(outcome.out, HasSubstr("ok    daemon             pid " + std::to_string(daemon_pid()) + ", "));
  EXPECT_THAT(outcome.out, HasSubstr(line("ok", "index", "SQLite finds nothing wrong")));
  EXPECT_THAT(outcome.out, ContainsRegex("ok    store              objects examined: [1-9][0-9]* of "));
  expect_warning(outcome, "");
}

TEST_F(Doctor, StartsNoDaemonAndMakesNothing) {
  const std::string nowhere = work_dir() + "/nowhere";
  const Outcome outcome =
      examine({"KILN_RUNTIME_DIR=" + nowhere + "/run", "KILN_CACHE_DIR=" + nowhere + "/cache"});
  expect_warning(outcome,
                 line("ok", "daemon", "none is running; the first run starts one, or: kiln daemon start"));
  EXPECT_THAT(outcome.out, HasSubstr(line("ok", "cache directory", nowhere + "/cache, not there yet")));
  EXPECT_THAT(outcome.out, HasSubstr(line("ok", "index", nowhere + "/cache/index.db, not there yet")));
  EXPECT_THAT(outcome.out, HasSubstr(line("ok", "store", "objects examined: 0 of 0")));
  EXPECT_THAT(outcome.out, HasSubstr(line("skip", "images", "only a running daemon can tell")));
  EXPECT_FALSE(fs::exists(nowhere));
  EXPECT_EQ(own_processes("kilnd"), std::vector<pid_t>{daemon_pid()});
}

TEST_F(Doctor, ADaemonThatIsGoneOrStopped) {
  const pid_t daemon = daemon_pid();
  kill_process(daemon, SIGSTOP);
  const std::string pid = std::to_string(daemon);
  const Outcome stopped = examine();
  expect_bad(stopped, line("bad", "daemon", "the daemon, pid " + pid + ", does not answer; it may be stopped",
                           "kill -CONT " + pid));
  EXPECT_THAT(stopped.out, HasSubstr(line("skip", "store", "the daemon cannot be asked")));
  kill_process(daemon, SIGKILL);
  ASSERT_TRUE(wait_gone(daemon));
  expect_warning(examine(), line("skip", "images", "only a running daemon can tell"));
  EXPECT_TRUE(own_processes("kilnd").empty());
}

TEST_F(Doctor, ADaemonOfAnotherBuild) {
  const Outcome outcome = run({.argv = {other_build(), "doctor"}});
  EXPECT_THAT(outcome.out,
              ContainsRegex("warn  daemon             the daemon is of build [^\n]+, this kiln is "
                            "not\n      hint: kiln daemon restart\n"));
  EXPECT_EQ(describe_status(outcome.status), "exit 0") << outcome.out;
  run({.argv = {other_build(), "daemon", "restart"}});
  EXPECT_THAT(run({.argv = {other_build(), "doctor"}}).out, HasSubstr("ok    daemon             pid "));
}

// Two runtime directories, as of a session and of cron(8).
TEST_F(Doctor, WhoHasNoDaemonOfHisOwnGoesToTheOneThatKeepsTheCache) {
  kiln({"daemon", "stop"});
  const std::vector<std::string> session{"KILN_RUNTIME_DIR", "XDG_RUNTIME_DIR=" + work_dir() + "/session"};
  const std::vector<std::string> cron{"KILN_RUNTIME_DIR", "XDG_RUNTIME_DIR=" + work_dir() + "/cron"};
  write_file(work_dir() + "/b.py", "y = 1\n");
  kiln({"daemon", "start"}, session);
  EXPECT_THAT(kiln({"precompile", "b.py"}, cron).out, HasSubstr("compiled 1, "));
  EXPECT_THAT(kiln({"list"}, session).out, HasSubstr("/b.py "));
  fs::create_directory(work_dir() + "/tree");
  EXPECT_EQ(kiln({"watch", "tree"}, cron).err, "");
  EXPECT_EQ(kiln({"status"}, cron).err, "");
  const Outcome examined = examine(cron);
  expect_warning(examined, "");
  EXPECT_THAT(examined.out, ContainsRegex("ok    daemon             pid [0-9]+, [^\n]+, of " + work_dir() +
                                          "/session/kiln\n"));
  EXPECT_THAT(examined.out, HasSubstr(line("ok", "index", "SQLite finds nothing wrong")));
  EXPECT_FALSE(fs::exists(work_dir() + "/cron"));

  EXPECT_EQ(kiln({"daemon", "restart"}, cron).out, "the daemon runs\n");
  EXPECT_TRUE(fs::exists(work_dir() + "/cron/kiln/kilnd.sock"));
  EXPECT_THAT(kiln({"list"}, session).out, HasSubstr("/b.py "));
  kiln({"unwatch", work_dir() + "/tree"}, session);
  EXPECT_EQ(kiln({"daemon", "stop"}, session).out, "the daemon has stopped\n");
  for (const auto& side : {session, cron}) {
    EXPECT_EQ(kiln({"daemon", "stop"}, side).out, "no daemon was running\n");
  }
}

// With KILN_RUNTIME_DIR a daemon of its own is wanted.
TEST_F(Doctor, ADaemonThatSharesTheCacheOfAnother) {
  fill_cache();
  write_file(work_dir() + "/b.py", "another = 1\n");
  const std::string other = "KILN_RUNTIME_DIR=" + work_dir() + "/run";
  const std::string keeper = "the daemon of " + runtime_dir() + ", pid " + std::to_string(daemon_pid()) +
                             ", keeps the index of " + cache_dir() +
                             "; this one has an index of its own, which is forgotten when it ends";
  const std::string go_there = "export KILN_RUNTIME_DIR=" + runtime_dir();
  EXPECT_THAT(examine({other}).out,
              HasSubstr(line("skip", "index", "it is in use by the daemon of " + runtime_dir())));

  EXPECT_THAT(kiln({"precompile", "a.py", "b.py"}, {other}).out, HasSubstr("compiled 1, fresh 1, "));
  EXPECT_THAT(kiln({"list"}, {other}).out, HasSubstr("/b.py "));
  EXPECT_THAT(kiln({"list"}).out, Not(HasSubstr("/b.py "))) << "one daemon alone writes to an index";
  expect_warning(examine({other}), line("warn", "daemon", keeper, go_there));
  const std::string warning = "warning: " + keeper + "\n\nhint: " + go_there + "\n";
  EXPECT_EQ(kiln({"status"}, {other}).err, warning);
  fs::create_directory(work_dir() + "/tree");
  EXPECT_EQ(kiln({"watch", "tree"}, {other}).err, warning);
  EXPECT_THAT(kiln({"daemon", "logs"}).out,
              HasSubstr("the index of " + cache_dir() + " is kept by the daemon of " + runtime_dir()));
  expect_warning(examine(), "ok    daemon             pid ");
  EXPECT_EQ(kiln({"status"}).err, "");

  kiln({"daemon", "stop"});
  expect_warning(examine({other}), line("warn", "daemon",
                                        "the daemon has an index of its own, not that of " + cache_dir() +
                                            ", and forgets it when it ends",
                                        "kiln daemon restart"));
  kiln({"daemon", "restart"}, {other});
  expect_warning(examine({other}), "ok    daemon             pid ");
  kiln({"daemon", "stop"}, {other});
}

TEST_F(Doctor, AnIndexThatIsDamaged) {
  fill_cache();
  const auto size = static_cast<std::size_t>(fs::file_size(cache_dir() + "/index.db"));
  constexpr off_t kPage = 4096;
  overwrite(cache_dir() + "/index.db", kPage, std::string(size - kPage, '\xa5'));
  const Outcome outcome = examine();
  EXPECT_THAT(outcome.out,
              ContainsRegex("bad   index              [^\n]+\n      hint: kiln daemon restart\n"));
  expect_bad(outcome, "");

  kiln({"daemon", "restart"});
  const std::string aside = cache_dir() + "/index.db.set-aside";
  expect_warning(examine(), line("warn", "index", "a former index was unusable, and begun anew: " + aside,
                                 "rm " + aside + "*"));
  run({.argv = {"/bin/sh", "-c", "rm " + aside + "*"}});
  expect_warning(examine(), line("ok", "index", "SQLite finds nothing wrong"));
}

TEST_F(Doctor, AnIndexThatIsNoFile) {
  const std::string cache = work_dir() + "/cache";
  const std::string index = cache + "/index.db";
  fs::create_directories(index);
  fs::permissions(cache, fs::perms::owner_all);
  expect_bad(examine({"KILN_CACHE_DIR=" + cache, "KILN_RUNTIME_DIR=" + work_dir() + "/none"}),
             line("bad", "index", index + " is no file", "mv " + index + " " + index + ".aside"));
}

// The daemon's program looks for itself, and leaves everything as it is.
TEST_F(Doctor, WhatAFormerDaemonHasLeft) {
  const std::string object = fill_cache();
  ASSERT_NE(object, "");
  kiln({"daemon", "stop"});
  const auto files = snapshot(cache_dir());
  const Outcome fine = examine();
  expect_warning(fine, line("ok", "index", "SQLite finds nothing wrong"));
  EXPECT_THAT(fine.out, ContainsRegex("ok    store              objects examined: [1-9][0-9]* of "));
  EXPECT_TRUE(snapshot(cache_dir()) == files) << "who examines changes nothing";

  overwrite(object, 100, "damage");
  const auto size = static_cast<std::size_t>(fs::file_size(cache_dir() + "/index.db"));
  constexpr off_t kPage = 4096;
  overwrite(cache_dir() + "/index.db", kPage, std::string(size - kPage, '\xa5'));
  const Outcome damaged = examine();
  EXPECT_THAT(damaged.out,
              ContainsRegex("bad   index              [^\n]+\n      hint: kiln daemon restart\n"));
  expect_bad(damaged, "; damaged: 1\n      hint: kiln gc\n");
  EXPECT_TRUE(own_processes("kilnd").empty());
  fs::remove(object);
  fs::remove(cache_dir() + "/index.db");
}

TEST_F(Doctor, AnIndexWhoseDaemonWasKilled) {
  fill_cache();
  write_file(work_dir() + "/b.py", "y = 1\n");
  kiln({"precompile", "b.py"});
  kiln({"list"});  // what was compiled is in the index by now
  const pid_t daemon = daemon_pid();
  kill_process(daemon, SIGKILL);
  ASSERT_TRUE(wait_gone(daemon));
  expect_warning(examine(), line("skip", "index",
                                 "a daemon was killed: the next one takes over first what that has left"));
}

TEST_F(Doctor, AnObjectOfTheStoreThatIsDamaged) {
  const std::string object = fill_cache();
  ASSERT_NE(object, "");
  overwrite(object, 100, "damage");
  const Outcome outcome = examine();
  EXPECT_THAT(outcome.out,
              ContainsRegex("bad   store              objects examined: [0-9]+ of [0-9]+; damaged: 1\n"));
  expect_bad(outcome, "      hint: kiln gc\n");
  EXPECT_TRUE(fs::exists(object)) << "who examines changes nothing";
  kiln({"gc"});
  EXPECT_FALSE(fs::exists(object));
  EXPECT_EQ(describe_status(examine().status), "exit 0");
}

struct Place {
  std::string fault;  // done to $D, a directory of mode 0700 in the work directory
  std::string what;
  std::string hint;
};

TEST_F(Doctor, ADirectoryThatCannotBeUsed) {
  const std::vector<Place> places{
      {"chmod 777 $D", "$D can be written by other users", "chmod 700 $D"},
      {"rmdir $D; touch $D", "$D is no directory", "unset $V"},
      {"touch $D/another; chmod 777 $D", "$D can be written by other users", "unset $V"},
      {"mv $D real; ln -s real $D", "$D is a symbolic link, which Kiln does not follow", "export $V=$W/real"},
      {"rmdir $D; ln -s nowhere $D", "$D is a symbolic link, which Kiln does not follow", "unset $V"},
  };
  const auto filled = [](std::string text, const std::string& variable) {
    for (const auto& [name, value] : {std::pair<std::string, std::string>{"$D", work_dir() + "/place"},
                                      {"$V", variable},
                                      {"$W", work_dir()}}) {
      for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += value.size())
        text.replace(at, name.size(), value);
    }
    return text;
  };
  for (const auto& [check, variable] :
       {std::pair<std::string, std::string>{"cache directory", "KILN_CACHE_DIR"},
        {"runtime directory", "KILN_RUNTIME_DIR"}}) {
    for (const Place& place : places) {
      reset_work_dir();
      fs::create_directory(work_dir() + "/place");
      fs::permissions(work_dir() + "/place", fs::perms::owner_all);
      run({.argv = {"/bin/sh", "-c", filled(place.fault, variable)}});
      expect_bad(examine({variable + "=" + work_dir() + "/place", "XDG_RUNTIME_DIR=" + work_dir()}),
                 line("bad", check, filled(place.what, variable), filled(place.hint, variable)));
    }
  }
}

// What lies in Kiln's own place is in its way.
TEST_F(Doctor, AFileInThePlaceOfTheDefaultDirectory) {
  write_file(work_dir() + "/kiln", "");
  expect_bad(examine({"KILN_CACHE_DIR", "XDG_CACHE_HOME=" + work_dir()}),
             line("bad", "cache directory", work_dir() + "/kiln is no directory",
                  "mv " + work_dir() + "/kiln " + work_dir() + "/kiln.aside"));
}

TEST_F(Doctor, ADirectoryThatTheKernelDoesNotLetMake) {
  expect_bad(examine({"KILN_CACHE_DIR=/proc/kiln"}),
             line("bad", "cache directory", "/proc/kiln cannot be made: /proc is the kernel's own (proc)",
                  "unset KILN_CACHE_DIR"));
}

TEST_F(Doctor, ADirectoryBelowAFile) {
  write_file(work_dir() + "/file", "");
  expect_bad(examine({"KILN_CACHE_DIR=" + work_dir() + "/file/cache"}),
             line("bad", "cache directory",
                  work_dir() + "/file/cache cannot be made: " + work_dir() + "/file is no directory",
                  "unset KILN_CACHE_DIR"));
}

TEST_F(Doctor, ADirectoryOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  const std::string place = work_dir() + "/place";
  fs::create_directory(place);
  ASSERT_EQ(::chown(place.c_str(), kNobody, kNobody), 0);
  expect_bad(examine({"KILN_CACHE_DIR=" + place}),
             line("bad", "cache directory", place + " belongs to another user, of id 65534",
                  "unset KILN_CACHE_DIR"));
}

TEST_F(Doctor, ADirectoryThatSudoMade) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  // The build, too, must be in reach of him.
  const std::string place = "/tmp/kiln-doctor-" + std::to_string(::getpid());
  fs::create_directories(place + "/lib");
  fs::create_directory(place + "/cache");
  fs::create_directory(place + "/bin");
  fs::copy(kiln_binary(), place + "/bin/kiln");
  const Outcome outcome = run({.argv = {place + "/bin/kiln", "doctor"},
                               .environment = environment_with({"KILN_CACHE_DIR=" + place + "/cache"}),
                               .cwd = "/",
                               .in_child = [] {
                                 if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) ::_exit(126);
                               }});
  fs::remove_all(place);
  expect_bad(outcome, line("bad", "cache directory", place + "/cache belongs to another user, of id 0",
                           "sudo chown -R 65534 " + place + "/cache"));
}

TEST_F(Doctor, AReadOnlyFileSystem) {
  UnwritableTree tree;
  if (!tree.works()) GTEST_SKIP() << "no file system can be made read-only here";
  const std::string place = tree / "cache";
  const bool is_root = ::geteuid() == 0;
  expect_bad(examine({"KILN_CACHE_DIR=" + place}),
             line("bad", "cache directory",
                  place + " cannot be made: " + fs::path(place).parent_path().string() + ": " +
                      (is_root ? "Read-only file system" : "Permission denied"),
                  "unset KILN_CACHE_DIR"));
}

// In a mount namespace of its own, for which root is needed, or to be one there.
TEST_F(Doctor, AFullDisk) {
  const std::string place = work_dir() + "/small";
  fs::create_directory(place);
  Invocation invocation{.argv = {kiln_binary(), "doctor"},
                        .environment = environment_with({"KILN_CACHE_DIR=" + place})};
  invocation.in_child = [&place] {
    const int flags = CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
    if (::unshare(flags) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("small", place.c_str(), "tmpfs", 0, "size=16k,mode=0700") != 0)
      ::_exit(126);
  };
  const Outcome outcome = run(invocation);
  if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "nothing can be mounted here";
  expect_bad(outcome, line("bad", "disk", "nothing can be written in " + place + ": No space left on device",
                           "unset KILN_CACHE_DIR"));
}

TEST_F(Doctor, FilesThatMayNotGrow) {
  const Outcome outcome = run({.argv = {kiln_binary(), "doctor"}, .in_child = [] {
                                 rlimit limit{};
                                 ::getrlimit(RLIMIT_FSIZE, &limit);
                                 limit.rlim_cur = 0;
                                 ::setrlimit(RLIMIT_FSIZE, &limit);
                               }});
  expect_bad(outcome, line("bad", "disk", "no file may grow here: a limit is set on their size",
                           "ulimit -f unlimited"));
}

TEST_F(Doctor, ASocketThatIsNone) {
  const std::string place = work_dir() + "/run";
  fs::create_directory(place);
  fs::permissions(place, fs::perms::owner_all);
  write_file(place + "/kilnd.sock", "");
  expect_bad(examine({"KILN_RUNTIME_DIR=" + place}),
             line("bad", "socket", place + "/kilnd.sock is no socket", "rm -r " + place + "/kilnd.sock"));
}

TEST_F(Doctor, AMistakeInTheConfiguration) {
  write_file(user_config_, "\n[store]\nlimits = \"1GiB\"\n");
  expect_bad(examine(), line("bad", "configuration",
                             user_config_ + ":3: unknown key store.limits; did you mean store.limit?",
                             "sed -i --follow-symlinks '3s/^/# /' " + user_config_));
  kiln({"daemon", "stop"});
  kiln({"daemon", "start"});
  write_file(user_config_, "");  // which KILN_CONFIG names
  expect_bad(examine(), line("bad", "configuration",
                             "the daemon has met a mistake: " + user_config_ +
                                 ":3: unknown key store.limits; did you mean store.limit?",
                             "kiln daemon restart"));
  kiln({"daemon", "restart"});
  expect_warning(examine(), line("ok", "configuration", "no mistakes; kiln config shows all settings"));
}

TEST_F(Doctor, LinksNamedPython) {
  const std::string links = work_dir() + "/links";
  const std::string real = work_dir() + "/real";
  fs::create_directory(links);
  fs::create_directory(real);
  fs::create_symlink(kiln_binary(), links + "/python3");
  expect_bad(
      examine({"PATH=" + bin_dir() + ":" + links}),
      line("bad", "python links", links + "/python3 leads to kiln, and no other python3 follows on PATH",
           "rm " + links + "/python3"));
  fs::create_symlink(any_python().path, real + "/python3");
  expect_warning(examine({"PATH=" + bin_dir() + ":" + links + ":" + real}),
                 line("ok", "python links", links + "/python3 stands for " + real + "/python3"));
  expect_warning(
      examine({"PATH=" + bin_dir() + ":" + real + ":" + links}),
      line("warn", "python links", links + "/python3 has no effect: " + real + "/python3 comes first",
           "export PATH=" + links + ":\"$PATH\""));
}

TEST_F(Doctor, AnInterpreterThatIsMissingOrBroken) {
  expect_bad(examine({"PATH=" + bin_dir()}),
             line("bad", "interpreter", "no interpreter named python3 on PATH",
                  "export KILN_PYTHON=/usr/bin/python3"));
  const std::string venv = work_dir() + "/venv";
  fs::create_directories(venv + "/bin");
  fs::create_symlink("/nowhere/python3", venv + "/bin/python");
  expect_bad(examine({"VIRTUAL_ENV=" + venv}),
             line("bad", "interpreter", "the virtual environment " + venv + " has no interpreter any more",
                  "unset VIRTUAL_ENV"));
  write_file(venv + "/pyvenv.cfg", "");
  expect_bad(examine({"VIRTUAL_ENV=" + venv}),
             line("bad", "interpreter", "the virtual environment " + venv + " has no interpreter any more",
                  "python3 -m venv --clear " + venv));
  const std::string broken = write_program("broken", "#!/bin/sh\nexit 1\n");
  expect_bad(examine({"KILN_PYTHON=" + broken}),
             line("bad", "interpreter", broken + " does not start", "export KILN_PYTHON=/usr/bin/python3"));
  const std::string shim = write_program("shim", "#!/bin/sh\nexec " + any_python().path + " \"$@\"\n");
  const Outcome outcome = examine({"KILN_PYTHON=" + shim});
  EXPECT_THAT(outcome.out,
              ContainsRegex("warn  interpreter        [^\n]*/shim, 3\\.[0-9.]+ cpython: a version "
                            "manager's script, which is executed as it is\n"));
  expect_warning(outcome, "      hint: export KILN_PYTHON=" + any_python().path + "\n");
}

TEST_F(Doctor, AnInterpreterThatNoImageIsOf) {
  write_file(work_dir() + "/sitecustomize.py",
             "import threading\nthreading.Thread(target=input, daemon=True).start()\n");
  const std::string path = "PYTHONPATH=" + work_dir();
  EXPECT_TRUE(await([&] {
    Outcome outcome = kiln({"run", "--python", any_python().path, "-c", "pass"}, {path});
    return take_log_line(outcome.err).reason == "startup-code";
  }));
  expect_warning(examine(),
                 line("warn", "images",
                      "runs of " + any_python().path + " with PYTHONPATH=" + work_dir() +
                          " are executed: start-up code does what an image cannot do once for all runs",
                      "kiln daemon logs -n 20"));
}

TEST_F(Doctor, AConfigurationThatIsNotThere) {
  fs::remove(user_config_);
  expect_warning(examine(),
                 line("warn", "configuration",
                      "KILN_CONFIG names " + user_config_ + ": there is no such file", "unset KILN_CONFIG"));
}

TEST_F(Doctor, AVariableThatTurnsKilnOff) {
  expect_warning(
      examine({"KILN_DISABLE=1"}),
      line("warn", "variables", "KILN_DISABLE is set: every run is executed", "unset KILN_DISABLE"));
}

TEST_F(Doctor, AVariableThatIsMisspelt) {
  expect_warning(
      examine({"KILN_STORE_LIMT=1GiB"}),
      line("warn", "variables", "KILN_STORE_LIMT is no variable of Kiln's; did you mean KILN_STORE_LIMIT?",
           "unset KILN_STORE_LIMT"));
}

TEST_F(Doctor, AnotherKilnOnPath) {
  const std::string put_first = "export PATH=" + bin_dir() + ":\"$PATH\"";
  expect_warning(examine({"PATH=/usr/bin"}), line("warn", "path", "kiln is not on PATH", put_first));
  const std::string other = write_program("kiln", "#!/bin/sh\n");
  expect_warning(examine({"PATH=" + work_dir() + ":" + bin_dir() + ":/usr/bin"}),
                 line("warn", "path", "the kiln on PATH is another: " + other, put_first));
}

TEST_F(Doctor, AnInstallationOfWhichAPartIsMissing) {
  const std::string bin = fs::path(other_build()).parent_path();
  const std::string lib = fs::path(bin).parent_path().string() + "/lib/kiln";
  const auto examine_it = [&] {
    return run({.argv = {bin + "/kiln", "doctor"},
                .environment = environment_with({"KILN_RUNTIME_DIR=" + work_dir() + "/run"})});
  };
  const std::string prefix = fs::path(bin).parent_path();
  const std::string again = "cmake --install build/release --prefix " + prefix + "  # in Kiln's checkout";
  EXPECT_EQ(describe_status(examine_it().status), "exit 0");
  fs::remove(lib + "/probe.py");
  expect_bad(examine_it(), line("bad", "installation", lib + "/probe.py is missing", again));
  fs::copy(bin_dir() + "/../lib/kiln/probe.py", lib);
  fs::remove(bin + "/kilnd");
  fs::copy(bin_dir() + "/kilnd", bin);
  EXPECT_THAT(examine_it().out, ContainsRegex("bad   installation       " + bin +
                                              "/kilnd is of another build: [^\n]+\n      hint: " + again));
  write_file(bin + "/kilnd", "");
  expect_bad(examine_it(), line("bad", "installation", bin + "/kilnd does not start", again));
  fs::remove(bin + "/kilnd");
  EXPECT_EQ(run({.argv = {bin + "/kiln", "daemon", "start"},
                 .environment = environment_with({"KILN_RUNTIME_DIR=" + work_dir() + "/run"})})
                .err,
            "error: cannot start " + bin + "/kilnd: No such file or directory\n\nhint: " + again + "\n");
  fs::remove_all(fs::path(bin).parent_path());
}

TEST_F(Doctor, ASystemdUnitOfAnotherProgram) {
  const std::string units = work_dir() + "/config/systemd/user";
  const std::string unit = units + "/kilnd.service";
  fs::create_directories(units);
  const std::string config = "XDG_CONFIG_HOME=" + work_dir() + "/config";
  const std::string edit = "systemctl --user edit --full kilnd.service";
  write_file(unit, "[Service]\nType=notify\nExecStart=" + bin_dir() + "/kilnd --foreground\n");
  expect_warning(examine({config}), line("ok", "systemd", unit));
  write_file(unit, "[Service]\nExecStart=-/nowhere/kilnd --foreground\n");
  expect_bad(examine({config}),
             line("bad", "systemd", unit + " starts /nowhere/kilnd, which is no program", edit));
  write_file(unit, "[Service]\nExecStart=/bin/true\n");
  expect_warning(examine({config}), line("warn", "systemd", unit + " starts another kilnd: /bin/true", edit));
  // As the package's own has it: systemd looks a name up, and neither on PATH nor here.
  write_file(unit, "[Service]\nExecStart=true --foreground\n");
  expect_warning(examine({config}),
                 line("warn", "systemd", unit + " starts another kilnd: /usr/bin/true", edit));
  write_program("no-daemon", "#!/bin/sh\n");
  write_file(unit, "[Service]\nExecStart=no-daemon --foreground\n");
  expect_bad(examine({config}),
             line("bad", "systemd", unit + " starts no-daemon, which is no program", edit));
}

TEST_F(Doctor, ATreeThatCannotBeWatched) {
  kiln({"daemon", "stop"});
  kiln({"daemon", "start"}, {"KILN_WATCH_LIMIT=1"});
  for (const std::string name : {"/tree/a", "/tree/b", "/tree/c"}) fs::create_directories(work_dir() + name);
  kiln({"watch", "tree"});
  const Outcome outcome = examine();
  expect_bad(outcome, line("bad", "watches",
                           work_dir() + "/tree cannot be watched: no watch is left: watch.limit grants 1",
                           "KILN_WATCH_LIMIT=100% kiln daemon restart"));
  fs::remove_all(work_dir() + "/tree");
  kiln({"unwatch", work_dir() + "/tree"});
}

// As some sandboxes have it: not the limits are to blame.
void refuse_inotify() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_inotify_init1, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{sizeof program / sizeof *program, program};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    ::_exit(126);
}

TEST_F(Doctor, AKernelThatRefusesInotify) {
  fs::create_directories(work_dir() + "/tree");
  const std::string kiln = "'" + kiln_binary() + "' ";
  Invocation invocation{
      .argv = {"/bin/sh", "-c",
               kiln + "daemon start; " + kiln + "watch tree; " + kiln + "doctor; " + kiln + "daemon stop"},
      .environment = environment_with({"KILN_RUNTIME_DIR=" + work_dir() + "/run",
                                       "KILN_CACHE_DIR=" + work_dir() + "/cache",
                                       "PATH=" + bin_dir() + ":/usr/bin:/bin"}),
      .in_child = refuse_inotify};
  const Outcome outcome = run(invocation);
  if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "nothing can be forbidden here";
  EXPECT_EQ(outcome.err, "error: changes in " + work_dir() +
                             "/tree are not heard, and it is looked at instead: cannot watch, for the kernel "
                             "refuses inotify here: Operation "
                             "not permitted\n\nhint: kiln doctor\n");
  EXPECT_THAT(outcome.out, HasSubstr(line("warn", "watches",
                                          "the kernel refuses inotify here, as in a sandbox: Operation not "
                                          "permitted; what changes in watched directories is found late, by "
                                          "looking")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("sysctl")));
}

TEST_F(Doctor, AWatchedTreeThatIsGone) {
  fs::create_directories(work_dir() + "/tree");
  kiln({"watch", "tree"});
  fs::remove_all(work_dir() + "/tree");
  EXPECT_TRUE(await([] { return kiln({"status"}).out.find("missing") != std::string::npos; }));
  expect_warning(examine(), line("warn", "watches", work_dir() + "/tree is watched, but not there",
                                 "kiln unwatch " + work_dir() + "/tree"));
  kiln({"unwatch", work_dir() + "/tree"});
}

TEST_F(Doctor, JsonSaysTheSame) {
  const std::string script =
      "import json, sys\nd = json.load(sys.stdin)\nprint(list(d), d['version'], d['bad'])\n"
      "for f in d['findings']:\n"
      "    assert list(f) == ['check', 'severity', 'what', 'hint'], f\n"
      "    assert f['severity'] in ('ok', 'skip', 'warn', 'bad'), f\n"
      "print([(f['severity'], f['hint']) for f in d['findings'] if f['check'] == 'configuration'])\n";
  write_file(user_config_, "loud = true\n");
  const Outcome said = kiln({"doctor", "--json"});
  EXPECT_EQ(describe_status(said.status), "exit 1");
  const Outcome keys =
      run({.argv = {any_python().path, "-c", script}, .in = Stream::file, .input = said.out});
  EXPECT_EQ(keys.out, "['version', 'bad', 'findings'] 1 1\n[('bad', \"sed -i --follow-symlinks '1s/^/# /' " +
                          user_config_ + "\")]\n")
      << keys.err;
}

TEST_F(Doctor, ColoursAreForTerminalsAlone) {
  Terminal terminal({"/bin/sh", "-i"},
                    environment_with({"TERM=xterm", "PS1=" + std::string(kPrompt), "ENV"}));
  ASSERT_TRUE(terminal.wait_for(kPrompt));
  EXPECT_THAT(terminal.enter(kiln_binary() + " doctor"), HasSubstr("\x1b[32mok\x1b[0m    socket"));
  EXPECT_THAT(terminal.enter("NO_COLOR=1 " + kiln_binary() + " doctor"), Not(HasSubstr("\x1b[")));
  EXPECT_THAT(terminal.enter("TERM=dumb " + kiln_binary() + " doctor"), Not(HasSubstr("\x1b[")));
  EXPECT_THAT(examine().out, Not(HasSubstr("\x1b[")));
}

}  // namespace
}  // namespace kiln::e2e
