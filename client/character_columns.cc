#include "client/character_columns.h"

#include <algorithm>
#include <array>

namespace kiln {
namespace {

struct Range {
  char32_t first;
  char32_t last;
  unsigned columns;
};

// Scripts that programs are written in, and what is "W" or "F" throughout in Unicode's EastAsianWidth.txt.
constexpr std::array kRanges{
    Range{0x20, 0x7e, 1},       Range{0xa1, 0xac, 1},       Range{0xae, 0x2ff, 1},
    Range{0x370, 0x482, 1},     Range{0x48a, 0x52f, 1},     Range{0x2010, 0x2027, 1},
    Range{0x2030, 0x205e, 1},   Range{0x20a0, 0x20bf, 1},   Range{0x2e9b, 0x2ef3, 2},
    Range{0x3001, 0x3029, 2},   Range{0x3041, 0x3096, 2},   Range{0x309b, 0x30ff, 2},
    Range{0x3105, 0x312f, 2},   Range{0x3400, 0x4dbf, 2},   Range{0x4e00, 0x9fff, 2},
    Range{0xac00, 0xd7a3, 2},   Range{0xff01, 0xff60, 2},   Range{0x1f442, 0x1f4fc, 2},
    Range{0x1f600, 0x1f64f, 2}, Range{0x1f680, 0x1f6c5, 2}, Range{0x1f90c, 0x1f93a, 2},
    Range{0x1f947, 0x1f9ff, 2}, Range{0x20000, 0x2fffd, 2}};

char32_t code_point(std::string_view character) {
  constexpr unsigned char kFirstBits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  char32_t code = static_cast<unsigned char>(character[0]) & kFirstBits[character.size()];
  for (const char byte : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(byte) & 0x3f);
  return code;
}

}  // namespace

std::optional<unsigned> character_columns(std::string_view character) {
  if (character.empty() || character.size() > 4) return std::nullopt;
  const char32_t code = code_point(character);
  const auto* const range = std::ranges::find_if(
      kRanges, [code](const Range& one) { return one.first <= code && code <= one.last; });
  return range == kRanges.end() ? std::nullopt : std::optional(range->columns);
}

}  // namespace kiln
