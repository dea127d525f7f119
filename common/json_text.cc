#include "common/json_text.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "common/surrogate_escape.h"

namespace kiln {
namespace {

unsigned byte_at(std::string_view bytes, std::size_t index) {
  return index < bytes.size() ? static_cast<unsigned char>(bytes[index]) : 0;
}

bool begins_with_surrogate(std::string_view bytes) {
  return byte_at(bytes, 0) == 0xed && (byte_at(bytes, 1) & 0xe0) == 0xa0 &&
         (byte_at(bytes, 2) & 0xc0) == 0x80;
}

bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

bool is_plain(char c) {
  return is_ascii(c) && static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
}

void append_escape(std::string& text, unsigned code_unit) {
  char escape[8];
  std::snprintf(escape, sizeof escape, "\\u%04x", code_unit & 0xffff);
  text += escape;
}

// What BYTES, which are not ASCII, begin with. Returns how many bytes that is.
std::size_t append_character(std::string& text, std::string_view bytes) {
  const std::size_t size = utf8_sequence_size(bytes);
  if (size > 0) {
    text += bytes.substr(0, size);
    return size;
  }
  if (begins_with_surrogate(bytes)) {
    append_escape(text, 0xd000 | (byte_at(bytes, 1) & 0x3f) << 6 | (byte_at(bytes, 2) & 0x3f));
    return 3;
  }
  append_escape(text, 0xdc00 | byte_at(bytes, 0));
  return 1;
}

// Adds BYTES to TEXT: by runs of what passes IS_RUN, which is most, as they are, the rest by APPEND_ONE.
template <class IsRun, class AppendOne>
void append_by_runs(std::string& text, std::string_view bytes, IsRun is_run, AppendOne append_one) {
  while (!bytes.empty()) {
    const auto end = std::find_if_not(bytes.begin(), bytes.end(), is_run);
    text.append(bytes.begin(), end);
    bytes.remove_prefix(static_cast<std::size_t>(end - bytes.begin()));
    if (!bytes.empty()) bytes.remove_prefix(append_one(text, bytes));
  }
}

}  // namespace

std::string json_text(const boost::json::value& value) {
  std::string text;
  append_by_runs(text, boost::json::serialize(value), is_ascii, append_character);
  return text;
}

void append_json_string(std::string& document, std::string_view text) {
  document += '"';
  append_by_runs(document, text, is_plain, [](std::string& to, std::string_view bytes) -> std::size_t {
    const char c = bytes.front();
    if (!is_ascii(c)) return append_character(to, bytes);
    if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else {
      append_escape(to, static_cast<unsigned char>(c));
    }
    return 1;
  });
  document += '"';
}

}  // namespace kiln
