#include "common/marshal.h"

#include <gtest/gtest.h>

#include "daemon/compile_worker.h"
#include "tests/unit/pythons.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

// Every type of constant that a compiler emits.
constexpr const char* kEverything = R"(
a = 1, 2 ** 40, -(2 ** 70), 1.5, 2j, 'ascii', 'ümlaut', b'bytes', None, True, False, ..., ()
b = x in {1, 2, 3}, (1, (2, (3, 'x' * 2))), [*range(9)], {'k': 'v'}, y[1:2], y[::3]
long = 'a string of more than two hundred and fifty-five characters: ' '..................................................'
long = long + '........................................................................................................'
async def f(a, b=1, *c, d, **e):
    try:
        return lambda: (a, b, [g for g in c])
    except ValueError: pass
)";

std::string compile(const InterpreterInfo& python) {
  CompileWorker worker(python, {});
  const auto compiled = worker.compile({kEverything, "a.py", 0});
  EXPECT_TRUE(compiled && !compiled->error) << python.path;
  return compiled->code;
}

TEST(Marshal, AWholeCodeObjectIsKnownInEveryVersion) {
  for (const auto& python : all_pythons()) {
    const auto code = compile(python);
    EXPECT_TRUE(is_whole_code(code, python.magic)) << python.path;
    EXPECT_FALSE(is_whole_code(code + "x", python.magic)) << python.path;
  }
}

TEST(Marshal, ACutOffOneIsNot) {
  const auto code = compile(system_python());
  for (std::size_t size = 0; size < code.size(); ++size) {
    EXPECT_FALSE(is_whole_code(code.substr(0, size), system_python().magic)) << size;
  }
}

// A long integer's digits are of 15 bits each, and the last is not 0.
TEST(Marshal, AnIntegerThatPythonDoesNotReadIsNot) {
  const auto with_constant = [](const std::string& constant) {
    return "c" + std::string(20, '\0') + "N" + constant + "NNNNNN" + std::string(4, '\0') + "NN";
  };
  const auto magic = system_python().magic;
  const std::string two_digits("l\2\0\0\0", 5);
  EXPECT_TRUE(is_whole_code(with_constant(two_digits + "\xff\x7f\x01" + '\0'), magic));
  EXPECT_TRUE(is_whole_code(with_constant(std::string("l\0\0\0\0", 5)), magic));
  EXPECT_FALSE(is_whole_code(with_constant(two_digits + "\xff\xff\x01" + '\0'), magic));
  EXPECT_FALSE(is_whole_code(with_constant(two_digits + "\xff\x7f" + std::string(2, '\0')), magic));
}

TEST(Marshal, NonsenseIsNot) {
  const auto magic = system_python().magic;
  EXPECT_FALSE(is_whole_code("", magic));
  EXPECT_FALSE(is_whole_code(std::string(1000, '\0'), magic));
  EXPECT_FALSE(is_whole_code("N", magic));
  EXPECT_FALSE(is_whole_code(std::string(100'000, 'c'), magic));
  EXPECT_FALSE(is_whole_code("c" + std::string(20, '\0') + std::string(100'000, ')'), magic));
}

TEST(Marshal, NestingIsLimitedAsInPython) {
  const auto nested = [](int depth) {
    std::string constants;
    for (int i = 0; i < depth; ++i) constants += ")\1";
    return "c" + std::string(20, '\0') + "N" + constants + "N" + "NNNNNN" + std::string(4, '\0') + "NN";
  };
  EXPECT_TRUE(is_whole_code(nested(1'998), 0x0a0d0000 | 3495));
  EXPECT_FALSE(is_whole_code(nested(2'000), 0x0a0d0000 | 3495));
  EXPECT_FALSE(is_whole_code(nested(1'000'000), 0x0a0d0000 | 3495));
}

TEST(Marshal, ALengthIsNotBelieved) {
  const std::string lengths[] = {"(\xff\xff\xff\x7f",
                                 "s\xff\xff\xff\xff",
                                 "l\xff\xff\xff\x7f",
                                 std::string("l\0\0\0\x80", 5),
                                 "[\xff\xff\xff\xff",
                                 "z\xff",
                                 "f\xff",
                                 "x\xff"};
  for (const auto& length : lengths) {
    EXPECT_FALSE(is_whole_code("c" + std::string(20, '\0') + length, 0x0a0d0000 | 3495));
  }
}

TEST(Marshal, TypesAreThoseOfTheVersion) {
  const auto body = [](int numbers, const std::string& constant, const std::string& end) {
    return "c" + std::string(static_cast<std::size_t>(numbers) * 4, '\0') + "N" + constant + "NNNNNN" +
           std::string(4, '\0') + end;
  };
  const std::string slice = ":NNN";
  EXPECT_TRUE(is_whole_code(body(5, slice, "NN"), 0x0a0d0000 | 3627));
  EXPECT_FALSE(is_whole_code(body(5, slice, "NN"), 0x0a0d0000 | 3571));
  const std::string interned = std::string("t\1\0\0\0x", 6);
  const auto with_reference = "(" + std::string("\2\0\0\0", 4) + interned + "R" + std::string(4, '\0');
  EXPECT_TRUE(is_whole_code(body(4, with_reference, "N"), 0x0a0d0000 | 62211));
  EXPECT_FALSE(is_whole_code(body(5, with_reference, "N"), 0x0a0d0000 | 3230));
  EXPECT_FALSE(is_whole_code(body(5, "R" + std::string(4, '\0'), "N"), 0x0a0d0000 | 62211)) << "to nothing";
  EXPECT_FALSE(is_whole_code(body(5, "r" + std::string(4, '\0'), "NN"), 0x0a0d0000 | 3571)) << "to nothing";
}

TEST(Marshal, AnUnknownInterpreterIsNotJudged) {
  EXPECT_TRUE(is_whole_code("anything", 0x0a0d0000 | 65'000));
}

TEST(Marshal, TheStandardLibraryIsWhole) {
  const auto cache = "/usr/lib/python3." + std::to_string(system_python().minor);
  std::error_code error;
  for (const auto& file : std::filesystem::recursive_directory_iterator(cache, error)) {
    if (file.path().string().find(system_python().cache_tag) == std::string::npos) continue;
    if (file.path().extension() != ".pyc") continue;
    EXPECT_TRUE(is_whole_code(read_file(file.path()).substr(16), system_python().magic)) << file.path();
  }
}

}  // namespace
}  // namespace kiln
