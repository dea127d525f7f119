#include "daemon/bytecode_place.h"

#include <gtest/gtest.h>

#include "common/overlay.h"

namespace kiln {
namespace {

constexpr std::uint32_t kMagic311 = 0x0a0d0da7;
constexpr std::uint32_t kMagic27 = 0x0a0df303;

InterpreterInfo python(int major, int minor, const std::string& tag) {
  InterpreterInfo info;
  info.major = major;
  info.minor = minor;
  info.cache_tag = tag;
  return info;
}

TEST(BytecodePlace, IsFoundFromEachFile) {
  const auto interpreter = python(3, 11, "cpython-311");
  for (const BytecodePlace& place :
       {BytecodePlace{}, BytecodePlace{"/var/pyc", false}, BytecodePlace{{}, true}}) {
    for (const int level : {0, 1, 2}) {
      const auto pyc = bytecode_path(place, interpreter, "/a/b/mod.py", level);
      EXPECT_EQ(place_of(pyc, "/a/b/mod.py", kMagic311, "/cache/overlay"), place) << pyc;
    }
  }
}

TEST(BytecodePlace, OfTheOverlayIsTheTree) {
  const auto pyc = bytecode_path({}, python(3, 11, "cpython-311"), "/a/b/mod.py", 1);
  EXPECT_EQ(place_of(overlay_path("/cache/overlay", pyc), "/a/b/mod.py", kMagic311, "/cache/overlay"),
            BytecodePlace{});
}

TEST(BytecodePlace, OfPython2IsBesideTheSource) {
  const auto pyc = bytecode_path({}, python(2, 7, ""), "/a/mod.py", 0);
  EXPECT_EQ(pyc, "/a/mod.pyc");
  EXPECT_EQ(place_of(pyc, "/a/mod.py", kMagic27, ""), BytecodePlace{});
}

TEST(BytecodePlace, OfAStrangersFileIsNone) {
  EXPECT_FALSE(place_of("/b/mod.pyc", "/a/mod.py", kMagic311, "/cache/overlay"));
  EXPECT_FALSE(place_of("/b/__pycache__/mod.cpython-311.pyc", "/a/mod.py", kMagic311, "/cache/overlay"));
}

}  // namespace
}  // namespace kiln
