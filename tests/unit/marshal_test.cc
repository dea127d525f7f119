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

TEST(Marshal, NonsenseIsNot) {
  const auto magic = system_python().magic;
  EXPECT_FALSE(is_whole_code("", magic));
  EXPECT_FALSE(is_whole_code(std::string(1000, '\0'), magic));
  EXPECT_FALSE(is_whole_code("N", magic));
  EXPECT_FALSE(is_whole_code(std::string(100'000, 'c'), magic));
  EXPECT_FALSE(is_whole_code("c" + std::string(20, '\0') + std::string(100'000, ')'), magic));
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
