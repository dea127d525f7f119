#include "common/magic.h"

#include <gtest/gtest.h>

#include "tests/unit/pythons.h"

namespace kiln {
namespace {

constexpr std::uint32_t kLineEnd = 0x0a0d0000;

TEST(Magic, EveryPythonIsKnown) {
  for (const auto& python : every_python()) {
    const auto format = bytecode_format(python.magic);
    ASSERT_TRUE(format) << python.path;
    EXPECT_EQ(format->version, (PythonVersion{python.major, python.minor})) << python.path;
  }
}

TEST(Magic, ReleasesAreKnown) {
  const std::pair<std::uint32_t, PythonVersion> releases[] = {
      {62211, {2, 7}}, {3131, {3, 0}},  {3151, {3, 1}},  {3180, {3, 2}},  {3230, {3, 3}},  {3310, {3, 4}},
      {3350, {3, 5}},  {3351, {3, 5}},  {3379, {3, 6}},  {3394, {3, 7}},  {3413, {3, 8}},  {3425, {3, 9}},
      {3439, {3, 10}}, {3495, {3, 11}}, {3531, {3, 12}}, {3571, {3, 13}}, {3627, {3, 14}},
  };
  for (const auto& [number, version] : releases) {
    const auto format = bytecode_format(kLineEnd | number);
    ASSERT_TRUE(format) << number;
    EXPECT_EQ(format->version, version);
  }
}

TEST(Magic, OthersAreNot) {
  for (const std::uint32_t number : {0, 240, 3000, 3392, 3494, 3570, 3650, 62161, 62218, 65'000}) {
    EXPECT_FALSE(bytecode_format(kLineEnd | number)) << number;
  }
  EXPECT_FALSE(bytecode_format(3495)) << "without its line end";
}

TEST(Magic, PyPysAreToldFromCPythons) {
  for (const std::uint32_t number : {112, 240, 336, 416})
    EXPECT_TRUE(is_pypy_magic(kLineEnd | number)) << number;
  for (const std::uint32_t number : {0, 341, 3008, 3392, 62'218}) {
    EXPECT_FALSE(is_pypy_magic(kLineEnd | number)) << number;
  }
  EXPECT_FALSE(is_pypy_magic(336)) << "without its line end";
}

}  // namespace
}  // namespace kiln
