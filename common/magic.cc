#include "common/magic.h"

namespace kiln {
namespace {

using enum HeaderLayout;
using enum SourceHashing;
using enum MarshalDialect;

struct Row {
  std::uint16_t first;  // of the final release
  std::uint16_t last;   // before the next version's first
  BytecodeFormat format;
};

constexpr Row kRows[] = {
    {62211, 62211, {{2, 7}, mtime, none, string_references}},
    {3131, 3140, {{3, 0}, mtime, none, plain}},
    {3151, 3159, {{3, 1}, mtime, none, plain}},
    {3180, 3189, {{3, 2}, mtime, none, plain}},
    {3230, 3249, {{3, 3}, mtime_and_size, none, plain}},
    {3310, 3319, {{3, 4}, mtime_and_size, none, references}},
    {3350, 3359, {{3, 5}, mtime_and_size, none, references}},
    {3379, 3389, {{3, 6}, mtime_and_size, none, references}},
    {3394, 3399, {{3, 7}, flags, siphash_2_4, references}},
    {3413, 3419, {{3, 8}, flags, siphash_2_4, references}},
    {3425, 3429, {{3, 9}, flags, siphash_2_4, references}},
    {3439, 3449, {{3, 10}, flags, siphash_2_4, references}},
    {3495, 3499, {{3, 11}, flags, siphash_1_3, references}},
    {3531, 3549, {{3, 12}, flags, siphash_1_3, references}},
    {3571, 3599, {{3, 13}, flags, siphash_1_3, references}},
    {3627, 3649, {{3, 14}, flags, siphash_1_3, references}},
};

constexpr std::uint32_t kLineEnd = 0x0a0d;  // "\r\n", the magic number's upper half

}  // namespace

std::optional<BytecodeFormat> bytecode_format(std::uint32_t magic) {
  if (magic >> 16 != kLineEnd) return std::nullopt;
  const std::uint32_t number = magic & 0xffff;
  for (const auto& row : kRows) {
    if (row.first <= number && number <= row.last) return row.format;
  }
  return std::nullopt;
}

bool is_pypy_magic(std::uint32_t magic) {
  const std::uint32_t number = magic & 0xffff;
  return magic >> 16 == kLineEnd && number != 0 && number < 3000 && number % 16 == 0;
}

}  // namespace kiln
