// `kiln watch`: bytecode follows its source without anybody asking.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::HasSubstr;
using testing::Not;

class Watch : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove(home_dir() + "/kiln.toml");  // which says that nothing is watched by itself
    kiln({"daemon", "restart"});
    reset_work_dir();
    fs::create_directory(tree());
    write_file(module(), "VALUE = 1\n");
  }
  void TearDown() override {
    kiln({"unwatch", tree()});
    kiln({"daemon", "stop"});
  }

  static std::string tree() { return work_dir() + "/tree"; }
  static std::string module() { return tree() + "/module.py"; }
  static std::string pyc(const std::string& name = "module") {
    return tree() + "/__pycache__/" + name + ".cpython-3" + std::to_string(any_python().minor) + ".pyc";
  }

  static void precompile() {
    const Outcome outcome = kiln({"precompile", "--python", any_python().path, tree()});
    ASSERT_EQ(describe_status(outcome.status), "exit 0") << outcome.err;
  }

  // What the bytecode, run as it is, has for VALUE; empty: it is not that of the source.
  static std::string value() {
    return python_output(any_python(),
                         "import importlib.util, marshal, os\n"
                         "data = open('" +
                             pyc() +
                             "', 'rb').read()\n"
                             "space = {}\n"
                             "exec(marshal.loads(data[16:]), space)\n"
                             "fresh = int.from_bytes(data[8:12], 'little') == int(os.stat('" +
                             module() +
                             "').st_mtime)\n"
                             "print(space['VALUE'] if fresh else '')\n");
  }

  static std::string roots() {
    const Outcome outcome = kiln({"status", "--json"});
    return outcome.out.substr(outcome.out.find("\"roots\""), 400);
  }

  // At once: a file that is written from its beginning is empty for a moment, and means something then.
  static void configure(const std::string& text) {
    write_file(tree() + "/kiln.toml.next", text);
    fs::rename(tree() + "/kiln.toml.next", tree() + "/kiln.toml");
  }

  static bool await_watching() {
    return await([] { return roots().find("\"state\":\"watching\"") != std::string::npos; });
  }
};

TEST_F(Watch, AnEditIsCompiledByItself) {
  precompile();
  EXPECT_EQ(kiln({"watch", tree()}).out, "watching " + tree() + "\n");
  ASSERT_TRUE(await_watching()) << roots();
  write_file(module(), "VALUE = 22\n");
  EXPECT_TRUE(await([] { return value() == "22\n"; }));
  write_file(tree() + "/next.py", "VALUE = 333\n");
  fs::rename(tree() + "/next.py", module());
  EXPECT_TRUE(await([] { return value() == "333\n"; }));
}

TEST_F(Watch, RootsHoldOverRestarts) {
  precompile();
  kiln({"watch", tree()});
  kiln({"daemon", "stop"});
  write_file(module(), "VALUE = 4444\n");  // while nobody watches
  kiln({"daemon", "start"});
  ASSERT_TRUE(await_watching()) << roots();
  EXPECT_TRUE(await([] { return value() == "4444\n"; }));
  EXPECT_EQ(kiln({"unwatch", tree()}).out, "no longer watching " + tree() + "\n");
  kiln({"daemon", "restart"});
  EXPECT_THAT(roots(), HasSubstr("\"roots\":[]"));
}

TEST_F(Watch, WhatARunImportedIsCompiledByItself) {
  write_file(tree() + "/main.py", "import module\nprint(module.VALUE)\n");
  ASSERT_TRUE(run_until_bare(any_python(), {tree() + "/main.py"}, environment_with({})).is_served());
  ASSERT_TRUE(await([] {
    const Outcome outcome = kiln({"list", tree()});
    return outcome.out.find("module.py") != std::string::npos;
  }));
  write_file(module(), "VALUE = 55555\n");
  EXPECT_TRUE(await([] { return value() == "55555\n"; }));
}

bool is_cached(const std::string& directory, const std::string& name) {
  return fs::exists(directory + "/__pycache__/" + name + ".cpython-3" + std::to_string(any_python().minor) +
                    ".pyc");
}

// The run before tells that it is imported, though nothing else is left of it.
TEST_F(Watch, APackageThatIsBackIsCompiledByItself) {
  fs::rename(module(), tree() + "/kept.py");
  fs::create_directory(tree() + "/pkg");
  fs::copy(tree() + "/kept.py", tree() + "/pkg/module.py");
  write_file(tree() + "/main.py", "import pkg.module\n");
  kiln({"watch", tree()});
  ASSERT_TRUE(await_watching()) << roots();
  ASSERT_TRUE(run_until_bare(any_python(), {tree() + "/main.py"}, environment_with({})).is_served());
  const auto is_listed = [] { return kiln({"list", tree()}).out.find("pkg/module.py") != std::string::npos; };
  ASSERT_TRUE(await(is_listed));
  fs::remove_all(tree() + "/pkg");
  EXPECT_FALSE(is_listed());
  fs::create_directory(tree() + "/pkg");
  fs::copy(tree() + "/kept.py", tree() + "/pkg/module.py");
  EXPECT_TRUE(await([] { return is_cached(tree() + "/pkg", "module"); }));
  EXPECT_TRUE(is_listed());
}

TEST_F(Watch, TheWholeOfATreeIsCompiledWithThePolicyAll) {
  write_file(tree() + "/sub/known.py", "VALUE = 1\n");
  write_file(tree() + "/less/known.py", "VALUE = 1\n");
  kiln({"watch", tree() + "/less"});
  const Outcome outcome = kiln({"watch", "--policy", "all", "--python", any_python().path, tree()});
  EXPECT_EQ(outcome.out, "watching " + tree() + ", all of it\n") << outcome.err;
  EXPECT_TRUE(await([&] { return is_cached(tree(), "module") && is_cached(tree() + "/sub", "known"); }));
  write_file(tree() + "/fresh/new.py", "VALUE = 2\n");
  EXPECT_TRUE(await([&] { return is_cached(tree() + "/fresh", "new"); }));
  write_file(module(), "VALUE = 22\n");
  EXPECT_TRUE(await([] { return value() == "22\n"; }));
  kiln({"daemon", "restart"});
  write_file(tree() + "/fresh/newer.py", "VALUE = 2\n");
  EXPECT_TRUE(await([&] { return is_cached(tree() + "/fresh", "newer"); }));
  EXPECT_FALSE(is_cached(tree() + "/less", "known")) << "the inner root has another policy";
  kiln({"unwatch", tree() + "/less"});
}

TEST_F(Watch, ANewFileIsKnownBeforeItIsCompiled) {
  kiln({"watch", "--policy", "all", "--python", any_python().path, tree()});
  for (int i = 0; i < 20; ++i) {
    const std::string source = tree() + "/new" + std::to_string(i) + ".py";
    write_file(source, "VALUE = 1\n");
    EXPECT_TRUE(await([&] {
      const Outcome outcome = kiln({"explain", source});
      EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("knows nothing")));
      return describe_status(outcome.status) == "exit 0";
    }));
  }
  EXPECT_THAT(kiln({"explain", tree() + "/none.py"}).err, HasSubstr("there is no such file"));
}

TEST_F(Watch, AProjectsConfigurationHoldsFromWhenItIsWritten) {
  write_file(tree() + "/sub/known.py", "VALUE = 1\n");
  EXPECT_EQ(kiln({"watch", "--python", any_python().path, tree()}).out, "watching " + tree() + "\n");
  ASSERT_TRUE(await_watching()) << roots();
  configure("[watch]\npolicy = \"all\"\n");
  EXPECT_TRUE(await([] { return is_cached(tree(), "module") && is_cached(tree() + "/sub", "known"); }));
  const auto watched = [] { return kiln({"explain", tree() + "/sub/known.py"}).out; };
  EXPECT_THAT(watched(), HasSubstr("Watched: below"));
  configure("[watch]\nignore = [\"sub\"]\n");
  EXPECT_TRUE(await([&] { return watched().find("Watched: no") != std::string::npos; })) << watched();
  EXPECT_THAT(roots(), HasSubstr("\"policy\":\"imported\""));
  configure("[watch]\npolice = \"all\"\n");
  EXPECT_TRUE(await([] { return roots().find("police") != std::string::npos; })) << roots();
  EXPECT_THAT(watched(), HasSubstr("Watched: no")) << "what held before still does";
  kiln({"daemon", "restart"});
  EXPECT_THAT(watched(), HasSubstr("Watched: no"));
}

TEST_F(Watch, TheUsersConfigurationHoldsWithoutAskingAgainToo) {
  ASSERT_EQ(kiln({"watch", "--python", any_python().path, tree()}).out, "watching " + tree() + "\n");
  write_file(home_dir() + "/kiln.toml", "[watch]\npolicy = \"all\"\n");
  EXPECT_TRUE(await([] { return is_cached(tree(), "module"); }));
}

TEST_F(Watch, AnOptionGoesBeforeTheConfiguration) {
  write_file(tree() + "/kiln.toml", "[watch]\npolicy = \"imported\"\n");
  kiln({"watch", "--policy", "all", "--python", any_python().path, tree()});
  EXPECT_TRUE(await([] { return is_cached(tree(), "module"); }));
  kiln({"daemon", "restart"});
  write_file(tree() + "/next.py", "VALUE = 2\n");
  EXPECT_TRUE(await([] { return is_cached(tree(), "next"); }));
  EXPECT_EQ(kiln({"watch", tree()}).out, "watching " + tree() + "\n");
}

TEST_F(Watch, ARootForWhichNoWatchIsLeftIsRefused) {
  fs::create_directories(tree() + "/a/b/c");
  write_file(home_dir() + "/kiln.toml", "[watch]\nlimit = 2\n");
  kiln({"daemon", "restart"});
  const Outcome refused = kiln({"watch", tree()});
  EXPECT_EQ(describe_status(refused.status), "exit 1");
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(
      refused.err,
      HasSubstr(
          "changes in " + tree() +
          " are not heard, and it is looked at instead: no watch is left: watch.limit grants 2\n\nhint: "));
  write_file(home_dir() + "/kiln.toml", "[watch]\nlimit = 100\n");
  kill_process(daemon_pid(), SIGHUP);
  EXPECT_TRUE(await_watching()) << roots();
  write_file(home_dir() + "/kiln.toml", "[watch]\nlimit = 3\n");
  kill_process(daemon_pid(), SIGHUP);
  EXPECT_TRUE(await([] { return roots().find("watch.limit grants 3") != std::string::npos; })) << roots();
}

TEST_F(Watch, ImportsForWhichNoWatchIsLeftAreTold) {
  write_file(home_dir() + "/kiln.toml", "[watch]\nlimit = 1\n");
  kiln({"daemon", "restart"});
  fs::create_directory(tree() + "/pkg");
  write_file(tree() + "/pkg/inner.py", "");
  write_file(tree() + "/main.py", "import module, pkg.inner\n");
  ASSERT_TRUE(run_until_bare(any_python(), {tree() + "/main.py"}, environment_with({})).is_served());
  EXPECT_TRUE(await([] { return kiln({"status"}).out.find("    not watched: ") != std::string::npos; }));
  const std::string told = kiln({"explain", module()}).out + kiln({"explain", tree() + "/pkg/inner.py"}).out;
  EXPECT_THAT(told,
              HasSubstr("though something was imported from it: no watch is left: watch.limit grants 1"));
}

TEST_F(Watch, BytecodeThatIsRemovedIsMadeAgain) {
  precompile();
  kiln({"watch", tree()});
  ASSERT_TRUE(await_watching()) << roots();
  fs::remove(pyc());
  EXPECT_TRUE(await([] { return fs::exists(pyc()); }));
  fs::remove_all(tree() + "/__pycache__");
  EXPECT_TRUE(await([] { return fs::exists(pyc()); }));
}

TEST_F(Watch, ADaemonThatHasJustStartedKnowsItsRoots) {
  kiln({"watch", tree()});
  kiln({"daemon", "stop"});
  EXPECT_EQ(kiln({"unwatch", tree()}).out, "no longer watching " + tree() + "\n");
}

TEST_F(Watch, WhatIsDoneCanBeFollowed) {
  precompile();
  kiln({"watch", tree()});
  ASSERT_TRUE(await_watching()) << roots();
  Process follower({.argv = {kiln_binary(), "watch", "--follow", tree()},
                    .environment = environment_with({}),
                    .cwd = work_dir(),
                    .err = Stream::with_stdout});
  ASSERT_TRUE(follower.wait_for_output("following"));
  write_file(module(), "VALUE = 'followed'\n");
  EXPECT_TRUE(follower.wait_for_output("compiled tree/module.py cpython-3")) << follower.output();
  EXPECT_THAT(follower.output(), HasSubstr(" ms\n"));
  write_file(module(), "VALUE = = 1\n");
  EXPECT_TRUE(follower.wait_for_output("error tree/module.py:1:9 cpython-3")) << follower.output();
  write_file(module(), "VALUE = 'mended'\n");
  EXPECT_TRUE(follower.wait_for_output("recovered tree/module.py cpython-3")) << follower.output();
  follower.signal(SIGINT);
  EXPECT_EQ(describe_status(follower.finish().status), "signal 2");
}

TEST_F(Watch, FollowingEndsWithTheDaemonAndTellsWhatIsNotWatched) {
  Process follower({.argv = {kiln_binary(), "watch", "--follow", "/etc"},
                    .environment = environment_with({}),
                    .err = Stream::with_stdout});
  ASSERT_TRUE(follower.wait_for_output("warning: /etc is not watched")) << follower.output();
  kiln({"daemon", "stop"});
  const Outcome outcome = follower.finish();
  EXPECT_EQ(describe_status(outcome.status), "exit 3");
  EXPECT_THAT(outcome.out, HasSubstr("the daemon has ended"));
}

TEST_F(Watch, ADaemonThatNobodyUsesEndsIfItIsToldTo) {
  kiln({"daemon", "stop"});
  const std::vector<std::string> soon{"KILN_DAEMON_IDLE_EXIT=1s"};
  kiln({"watch", tree()}, soon);
  const auto pid = [] {
    const Outcome status = kiln({"status", "--json"});
    return std::atoi(status.out.c_str() + status.out.find("\"pid\":") + 6);
  }();
  kiln({"unwatch", tree()});
  EXPECT_TRUE(wait_gone(pid, 30'000));
  EXPECT_EQ(describe_status(kiln({"status"}).status), "exit 3") << "asking starts none";
}

TEST_F(Watch, MistakesAreTold) {
  Outcome outcome = kiln({"watch", module()});
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_THAT(outcome.err, HasSubstr("is no directory"));
  EXPECT_EQ(describe_status(kiln({"watch", tree() + "/missing"}).status), "exit 1");
  outcome = kiln({"unwatch", tree()});
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_THAT(outcome.err, HasSubstr("is not watched"));
  EXPECT_EQ(describe_status(kiln({"watch"}).status), "exit 2");
  outcome = kiln({"watch", ""});
  EXPECT_EQ(describe_status(outcome.status), "exit 2");
  EXPECT_EQ(outcome.err, "error: PATH is empty\n\nhint: kiln watch --help\n");
  outcome = kiln({"watch", "--policy", "imported", "--python", any_python().path, tree()});
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
  EXPECT_THAT(outcome.err,
              HasSubstr("hint: kiln watch --policy all --python " + any_python().path + " " + tree() + "\n"));
  EXPECT_EQ(describe_status(kiln({"watch", "--policy", "some", tree()}).status), "exit 2");
  EXPECT_EQ(describe_status(kiln({"watch", "--follow", "--policy", "all"}).status), "exit 2");
}

}  // namespace
}  // namespace kiln::e2e
