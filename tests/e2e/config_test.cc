// The configuration: what `kiln config` shows, and that each key acts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class ConfigFiles : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove(user_);
    reset_work_dir();
  }
  void TearDown() override {
    fs::remove(user_);
    if (daemon_pid() > 0) kiln({"daemon", "restart"});
  }

  void write_user(const std::string& text) const { write_file(user_, text); }
  static void write_project(const std::string& text) { write_file(project_file(), text); }
  static std::string project_file() { return work_dir() + "/kiln.toml"; }

  // The log line of a run of a script in the work directory.
  static LogLine run_in_project(const std::vector<std::string>& changes = {}) {
    write_file(work_dir() + "/x.py", "print('ran')\n");
    Outcome outcome = run({.argv = {kiln_binary(), "run", "--python", any_python().path, "x.py"},
                           .environment = environment_with(changes)});
    EXPECT_EQ(outcome.out, "ran\n");
    EXPECT_EQ(describe_status(outcome.status), "exit 0");
    return take_log_line(outcome.err);
  }

  static std::string status_value(const std::string& expression) {
    const std::string script = "import json, sys\nd = json.load(sys.stdin)\nprint(" + expression + ")";
    return run({.argv = {any_python().path, "-c", script},
                .in = Stream::file,
                .input = kiln({"status", "--json"}).out})
        .out;
  }

  // Has the daemon read its configuration again: what it answers after it has logged the signal comes after
  // that.
  static void reload() {
    const std::string log = cache_dir() + "/kilnd.log";
    const std::size_t before = read_file(log).size();
    const auto logged = [&] {
      return read_file(log).find("reads its configuration again\n", before) != std::string::npos;
    };
    ::kill(daemon_pid(), SIGHUP);
    for (int i = 0; i < 1000 && !logged(); ++i) kiln({"status"});
    EXPECT_TRUE(logged());
  }

  const std::string user_ = home_dir() + "/kiln.toml";
};

TEST_F(ConfigFiles, EachValueIsShownWithItsOrigin) {
  write_user("[images]\nlimit = 3\nmemory = \"1GiB\"\n[watch]\nignore = [\"*.tmp\"]\n");
  write_project("[watch]\nignore = [\"build\"]\n");
  const std::vector<std::string> changes{"KILN_STORE_LIMIT=500MB", "KILN_IMAGES_PROGRAMS"};
  const Outcome outcome = kiln({"config"}, changes);
  EXPECT_EQ(outcome.out,
            "log.level           \"info\"              default\n"
            "images.enabled      true                default\n"
            "images.limit        3                   " +
                user_ +
                ":2\n"
                "images.memory       \"1GiB\"              " +
                user_ +
                ":3\n"
                "images.programs     true                default\n"
                "images.never        []                  default\n"
                "images.trust        []                  default\n"
                "store.limit         \"500MB\"             environment variable KILN_STORE_LIMIT\n"
                "overlay.limit       \"512MiB\"            default\n"
                "precompile.exclude  []                  default\n"
                "watch.policy        \"imported\"          default\n"
                "watch.ignore        [\"*.tmp\", \"build\"]  " +
                user_ + ":5, " + project_file() +
                ":2\n"
                "watch.limit         \"50%\"               default\n"
                "daemon.idle_exit    \"never\"             default\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
  EXPECT_THAT(kiln({"config", "/"}).out, Not(HasSubstr("build")));
  write_file(work_dir() + "/deep/x.py", "");
  EXPECT_EQ(kiln({"config", "deep/x.py"}, changes).out, outcome.out);
}

TEST_F(ConfigFiles, JsonHasValuesAndOrigins) {
  write_user("[store]\nlimit = \"1KiB\"\n[daemon]\nidle_exit = \"2min\"\n");
  write_project("precompile.exclude = [\"a\"]\n");
  const std::string script =
      "import json, sys\nd = json.load(sys.stdin)\nprint(list(d), d['version'])\ns = d['settings']\n"
      "for key in s:\n    assert list(s[key]) == ['value', 'origins'], key\n"
      "print(s['store.limit']['value'], s['daemon.idle_exit']['value'], s['watch.limit']['value'])\n"
      "print(s['precompile.exclude']['origins'] == [{'file': sys.argv[1], 'line': 1}])\n"
      "print(s['log.level']['origins'], s['images.enabled'])\n";
  const Outcome keys = run({.argv = {any_python().path, "-c", script, project_file()},
                            .in = Stream::file,
                            .input = kiln({"config", "--json"}, {"KILN_IMAGES_ENABLED=0"}).out});
  EXPECT_EQ(keys.out,
            "['version', 'settings'] 1\n1024 120 50%\nTrue\n"
            "[] {'value': False, 'origins': [{'variable': 'KILN_IMAGES_ENABLED'}]}\n")
      << keys.err;
}

TEST_F(ConfigFiles, PathsAreShown) {
  EXPECT_EQ(kiln({"config", "--path"}).out, "user     " + user_ + " (not there)\nproject  none\n");
  write_user("no TOML at all");
  write_project("");
  EXPECT_EQ(kiln({"config", "--path"}).out, "user     " + user_ + "\nproject  " + project_file() + "\n");
  EXPECT_EQ(kiln({"config", "--path", "--json"}).out, "{\"version\":1,\"user\":{\"path\":\"" + user_ +
                                                          "\",\"exists\":true},\"project\":{\"path\":\"" +
                                                          project_file() + "\",\"exists\":true}}\n");
  EXPECT_THAT(kiln({"config", "--path"}, {"HOME", "KILN_CONFIG"}).out, HasSubstr("user     none: "));
}

TEST_F(ConfigFiles, TheDescriptionIsAConfigurationOfAllDefaults) {
  const Outcome described = kiln({"config", "--describe"});
  EXPECT_EQ(describe_status(described.status), "exit 0");
  const std::string defaults = kiln({"config"}).out;
  write_user(described.out);
  const Outcome outcome = kiln({"config", "--json"});
  EXPECT_EQ(describe_status(outcome.status), "exit 0") << outcome.err;
  const auto values = [](std::string text) {
    return run({.argv = {"/bin/sed", "-E", "s/ +(default|\\/.*)$//"}, .in = Stream::file, .input = text}).out;
  };
  EXPECT_EQ(values(kiln({"config"}).out), values(defaults));
  for (const char* text :
       {"[store]\n", "Variable: KILN_STORE_LIMIT\n", "limit = \"2GiB\"\n", "Not in a project's file."}) {
    EXPECT_THAT(described.out, HasSubstr(text));
  }
}

TEST_F(ConfigFiles, AMistakeIsAnErrorWithItsLine) {
  write_user("");
  write_project("\n[watch]\npolicies = \"all\"\n");
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"config"}, {"config", "--json"}, {"precompile", "."}}) {
    const Outcome outcome = kiln(command);
    EXPECT_EQ(outcome.err, "error: " + project_file() +
                               ":3: unknown key watch.policies; did you mean watch.policy?\n\n"
                               "hint: kiln config --describe\n");
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(describe_status(outcome.status), "exit 1") << command[0];
  }
  EXPECT_EQ(kiln({"config"}, {"KILN_CONFIG=x"}).err,
            "error: KILN_CONFIG is not an absolute path: x\n\nhint: unset KILN_CONFIG\n");
}

TEST_F(ConfigFiles, WrongUsage) {
  EXPECT_EQ(describe_status(kiln({"config", "--bogus"}).status), "exit 2");
  EXPECT_EQ(describe_status(kiln({"config", "--describe", "--json"}).status), "exit 2");
  EXPECT_EQ(describe_status(kiln({"config", "--help"}).status), "exit 0");
}

TEST_F(ConfigFiles, RunsAreExecutedWhereImagesAreDisabled) {
  ASSERT_TRUE(run_until_bare(any_python(), {"-c", "pass"}, base_environment()).is_served());
  EXPECT_TRUE(run_in_project().is_served());
  write_project("images.enabled = false\n");
  const LogLine disabled = run_in_project();
  EXPECT_EQ(disabled.mode, "exec");
  EXPECT_EQ(disabled.reason, "images-disabled");
  EXPECT_THAT(disabled.line, HasSubstr("images.enabled is false, by " + project_file() + ":1"));
  EXPECT_TRUE(run_in_project({"KILN_IMAGES_ENABLED=true"}).is_served());
  write_project("images.enabled = true \n");
  EXPECT_TRUE(run_in_project().is_served());
  EXPECT_EQ(run_in_project({"KILN_IMAGES_ENABLED=0"}).reason, "images-disabled");
  write_user("images.enabled = false\n");
  EXPECT_TRUE(run_in_project().is_served()) << "the project's own word counts";
  fs::remove(project_file());
  EXPECT_EQ(run_in_project().reason, "images-disabled");
}

TEST_F(ConfigFiles, ACommandsProjectIsThatOfTheWorkingDirectory) {
  ASSERT_TRUE(run_until_bare(any_python(), {"-c", "pass"}, base_environment()).is_served());
  write_project("images.enabled = false\n");
  write_file(work_dir() + "/m.py", "print('ran')\n");
  for (const std::vector<std::string>& target :
       {std::vector<std::string>{"-c", "print('ran')"}, {"-m", "m"}}) {
    std::vector<std::string> argv{kiln_binary(), "run", "--python", any_python().path};
    argv.insert(argv.end(), target.begin(), target.end());
    Outcome outcome = run({.argv = argv});
    EXPECT_EQ(outcome.out, "ran\n");
    EXPECT_EQ(take_log_line(outcome.err).reason, "images-disabled") << target[0];
  }
  Outcome elsewhere =
      run({.argv = {kiln_binary(), "run", "--python", any_python().path, "-c", "pass"}, .cwd = "/"});
  EXPECT_TRUE(take_log_line(elsewhere.err).is_served());
}

TEST_F(ConfigFiles, RunsAreExecutedAfterAMistake) {
  ASSERT_TRUE(run_until_bare(any_python(), {"-c", "pass"}, base_environment()).is_served());
  write_project("images.enabeld = false\n");
  LogLine line = run_in_project();
  EXPECT_EQ(line.mode, "exec");
  EXPECT_EQ(line.reason, "config");
  EXPECT_THAT(line.line, HasSubstr(project_file() + ":1: unknown key images.enabeld; did you mean"));
  write_project("");
  write_user("[log\n");
  line = run_in_project();
  EXPECT_EQ(line.reason, "config");
  EXPECT_THAT(line.line, HasSubstr(user_ + ":1: "));
  write_user("");
  EXPECT_TRUE(run_in_project().is_served());
}

TEST_F(ConfigFiles, ADaemonStartsWithAMistakeAndRemovesNothing) {
  write_user("[store]\nlimt = 1\n");
  kiln({"daemon", "stop"});
  EXPECT_EQ(describe_status(kiln({"daemon", "start"}).status), "exit 0");
  EXPECT_THAT(kiln({"status"}).out,
              HasSubstr("configuration ignored: " + user_ + ":2: unknown key store.limt"));
  EXPECT_EQ(status_value("[l['name'] for l in d['limits'] if l['name'] != 'watches']"),
            "['images', 'programs']\n");
  const Outcome gc = kiln({"gc"});
  EXPECT_THAT(gc.err,
              AllOf(HasSubstr("error: " + user_ + ":2: "), HasSubstr("\n\nhint: kiln config --describe\n")));
  EXPECT_EQ(describe_status(gc.status), "exit 1");
  EXPECT_EQ(describe_status(kiln({"gc", "--limit", "0"}).status), "exit 0");
}

TEST_F(ConfigFiles, ChangesArePickedUpBySignalAndRestart) {
  kiln({"daemon", "restart"});
  const pid_t daemon = daemon_pid();
  write_user("images.limit = 3\nstore.limit = \"1MiB\"\nlog.level = \"warning\"\n");
  const std::string limits = "[(l['name'], l['limit']) for l in d['limits'] if l['name'] != 'watches']";
  EXPECT_EQ(
      status_value(limits),
      "[('images', 64), ('programs', 64), ('store_bytes', 2147483648), ('overlay_bytes', 536870912)]\n");
  reload();
  EXPECT_EQ(daemon_pid(), daemon);
  EXPECT_EQ(status_value(limits),
            "[('images', 3), ('programs', 3), ('store_bytes', 1048576), ('overlay_bytes', 536870912)]\n");
  write_user("images.limit = 4\n");
  kiln({"daemon", "restart"});
  EXPECT_EQ(status_value(limits),
            "[('images', 4), ('programs', 4), ('store_bytes', 2147483648), ('overlay_bytes', 536870912)]\n");
}

TEST_F(ConfigFiles, PrecompileLeavesOutWhatTheProjectExcludes) {
  for (const char* name : {"src/a.py", "src/gen/b.py", "src/deep/gen/c.py", "tests/d.py", "old.py"}) {
    write_file(work_dir() + "/" + name, "x = 1\n");
  }
  write_project("[precompile]\nexclude = [\"src/gen\", \"tests/\"]\n");
  write_user("[precompile]\nexclude = [\"old*\"]\n");
  const auto compiled = [](const std::vector<std::string>& arguments, const std::string& cwd) {
    std::vector<std::string> argv{kiln_binary(), "precompile", "--check",
                                  "--json",      "--python",   any_python().path};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const Outcome outcome = run({.argv = argv, .cwd = cwd});
    const std::string script =
        "import json, sys\nprint(*sorted(s['path'] for s in json.load(sys.stdin)['stale']))";
    return run({.argv = {any_python().path, "-c", script}, .in = Stream::file, .input = outcome.out}).out;
  };
  EXPECT_EQ(compiled({"."}, work_dir()), "./src/a.py ./src/deep/gen/c.py\n");
  EXPECT_EQ(compiled({"src"}, work_dir()), "src/a.py src/deep/gen/c.py\n");
  EXPECT_EQ(compiled({"."}, work_dir() + "/src"), "./a.py ./deep/gen/c.py\n");
  EXPECT_EQ(compiled({"src/gen", "old.py"}, work_dir()), "old.py src/gen/b.py\n") << "they were named";
  EXPECT_EQ(compiled({"--exclude", "a.py", "src"}, work_dir()), "src/deep/gen/c.py\n");
}

}  // namespace
}  // namespace kiln::e2e
