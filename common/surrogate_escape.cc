#include "common/surrogate_escape.h"

namespace kiln {
namespace {

unsigned char byte_at(std::string_view bytes, std::size_t index) {
  return index < bytes.size() ? static_cast<unsigned char>(bytes[index]) : 0;
}

bool is_continuation(unsigned char byte) {
  return (byte & 0xc0) == 0x80;
}

// Whether BYTES begin with an encoded surrogate from U+DC80 to U+DCFF.
bool begins_escaped(std::string_view bytes) {
  const auto second = byte_at(bytes, 1);
  return byte_at(bytes, 0) == 0xed && (second == 0xb2 || second == 0xb3) &&
         is_continuation(byte_at(bytes, 2));
}

}  // namespace

std::size_t utf8_sequence_size(std::string_view bytes) {
  const auto first = byte_at(bytes, 0);
  const auto second = byte_at(bytes, 1);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4 || !is_continuation(second)) return 0;
  if (first < 0xe0) return 2;
  if (!is_continuation(byte_at(bytes, 2))) return 0;
  if (first < 0xf0) {
    const bool overlong = first == 0xe0 && second < 0xa0;
    const bool surrogate = first == 0xed && second >= 0xa0;
    return overlong || surrogate ? 0 : 3;
  }
  const bool overlong = first == 0xf0 && second < 0x90;
  const bool too_large = first == 0xf4 && second >= 0x90;
  return overlong || too_large || !is_continuation(byte_at(bytes, 3)) ? 0 : 4;
}

std::string escape_surrogates(std::string_view raw) {
  std::string text;
  while (!raw.empty()) {
    const std::size_t size = utf8_sequence_size(raw);
    if (size > 0) {
      text += raw.substr(0, size);
    } else {
      const auto byte = byte_at(raw, 0);
      text += '\xed';
      text += static_cast<char>(byte < 0xc0 ? 0xb2 : 0xb3);
      text += static_cast<char>(0x80 | (byte & 0x3f));
    }
    raw.remove_prefix(size > 0 ? size : 1);
  }
  return text;
}

std::string unescape_surrogates(std::string_view text) {
  std::string raw;
  while (!text.empty()) {
    const bool escaped = begins_escaped(text);
    const int high = byte_at(text, 1) == 0xb2 ? 0x80 : 0xc0;
    raw += escaped ? static_cast<char>(high | (byte_at(text, 2) & 0x3f)) : text[0];
    text.remove_prefix(escaped ? 3 : 1);
  }
  return raw;
}

}  // namespace kiln
