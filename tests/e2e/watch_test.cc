// `kiln watch`: bytecode follows its source without anybody asking.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

using testing::HasSubstr;

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
  ASSERT_EQ(run_until_bare(any_python(), {tree() + "/main.py"}, environment_with({})).mode, "bare");
  ASSERT_TRUE(await([] {
    const Outcome outcome = kiln({"list", tree()});
    return outcome.out.find("module.py") != std::string::npos;
  }));
  write_file(module(), "VALUE = 55555\n");
  EXPECT_TRUE(await([] { return value() == "55555\n"; }));
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
}

}  // namespace
}  // namespace kiln::e2e
