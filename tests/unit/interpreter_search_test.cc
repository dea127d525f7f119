#include "client/interpreter_search.h"

#include <gtest/gtest.h>

#include <map>

#include "client/interpreter_choice.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

// The environment is changed for one test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (before_) {
      ::setenv(name_, before_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

// Version 3.99, which nobody has, in places of our own.
class InterpreterSearch : public testing::Test {
 protected:
  std::string add(const std::string& name, const std::string& contents = "an interpreter") const {
    const auto path = scratch_.write(name, contents);
    fs::permissions(path, fs::perms::owner_all);
    return path;
  }

  static std::string found(const std::string& version) {
    const auto path = find_interpreter(*parse_version(version));
    return path ? *path : path.error().message;
  }

  Scratch scratch_;
  Variable path_{"PATH", scratch_ / "path"};
  Variable pyenv_{"PYENV_ROOT", scratch_ / "pyenv"};
  Variable uv_{"UV_PYTHON_INSTALL_DIR", scratch_ / "uv"};
};

TEST(Version, IsReadAndWritten) {
  EXPECT_EQ(parse_version("3.12"), (WantedVersion{{3, 12}}));
  EXPECT_EQ(parse_version("3.12.1"), (WantedVersion{{3, 12}, 1}));
  EXPECT_EQ(version_text({{2, 7}}), "2.7");
  EXPECT_EQ(version_text({{3, 13}, 0}), "3.13.0");
  for (const auto* text : {"", "3", "3.", ".3", "3.12.", "3.12.1.1", "3.13t", "3.12.0rc1", "-3.1", "3.-1",
                           "python3.12", "99999999999.1", "3.12 "}) {
    EXPECT_EQ(parse_version(text), std::nullopt) << text;
  }
}

TEST_F(InterpreterSearch, TheNewestOfAVersionManagerIsTaken) {
  add("pyenv/versions/3.99.9/bin/python3.99");
  const auto newest = add("pyenv/versions/3.99.10/bin/python3.99");
  add("pyenv/versions/3.99.11t/bin/python3.99");
  add("pyenv/versions/project/bin/python3.99");
  scratch_.write("pyenv/versions/3.99.12/bin/python3.99", "cannot be executed");
  EXPECT_EQ(found("3.99"), newest);
  EXPECT_EQ(found("3.99.10"), newest);
  EXPECT_EQ(found("3.99.9"), scratch_ / "pyenv/versions/3.99.9/bin/python3.99");
}

TEST_F(InterpreterSearch, UvNamesItsOwn) {
  add("uv/cpython-3.99.2-linux-x86_64-gnu/bin/python3.99");
  const auto newest = add("uv/cpython-3.99.3-linux-x86_64-gnu/bin/python3.99");
  add("uv/cpython-3.99.4+freethreaded-linux-x86_64-gnu/bin/python3.99");
  add("uv/pypy-3.99.5-linux-x86_64-gnu/bin/python3.99");
  EXPECT_EQ(found("3.99"), newest);
  EXPECT_EQ(found("3.99.2"), scratch_ / "uv/cpython-3.99.2-linux-x86_64-gnu/bin/python3.99");
}

TEST_F(InterpreterSearch, PathGoesFirstButForShimsAndKiln) {
  const auto managed = add("pyenv/versions/3.99.9/bin/python3.99");
  add("path/python3.99", "#!/bin/sh\n");
  EXPECT_EQ(found("3.99"), managed);
  fs::remove(scratch_ / "path/python3.99");
  fs::create_symlink("/proc/self/exe", scratch_ / "path/python3.99");
  EXPECT_EQ(found("3.99"), managed);
  fs::remove(scratch_ / "path/python3.99");
  const auto first = add("path/python3.99");
  EXPECT_EQ(found("3.99"), first);
}

TEST_F(InterpreterSearch, OneOnPathIsAskedForItsPatch) {
  const auto python = fs::canonical("/usr/bin/python3").filename().string();
  fs::create_directories(scratch_ / "path");
  fs::create_symlink("/usr/bin/python3", scratch_ / "path/" + python);
  const auto version = python.substr(std::string("python").size());
  EXPECT_EQ(found(version), scratch_ / "path/" + python);
  EXPECT_NE(found(version + ".99").find("no interpreter of Python " + version + ".99"), std::string::npos);
}

TEST_F(InterpreterSearch, NothingFoundNamesTheVersion) {
  const auto missing = find_interpreter({{3, 99}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().reason, Reason::interpreter_missing);
  EXPECT_NE(missing.error().message.find("3.99"), std::string::npos);
  EXPECT_EQ(missing.error().hint, "") << "nobody could install it";
  add("path/pyenv");
  EXPECT_EQ(find_interpreter({{3, 99}}).error().hint, "pyenv install 3.99");
  add("path/uv");
  EXPECT_EQ(find_interpreter({{3, 99}}).error().hint, "uv python install 3.99");
}

TEST_F(InterpreterSearch, ACommandTakesVersionsAndEnvironments) {
  const auto managed = add("pyenv/versions/3.99.9/bin/python3.99");
  EXPECT_EQ(choose_interpreter("3.99")->path, managed);
  const auto venv = add("venv/bin/python");
  EXPECT_EQ(choose_interpreter(scratch_ / "venv")->path, venv);
  EXPECT_EQ(choose_interpreter(scratch_ / "venv/")->path, venv);
  EXPECT_EQ(choose_interpreter(scratch_ / "pyenv").error().reason, Reason::interpreter_missing);
}

}  // namespace
}  // namespace kiln
