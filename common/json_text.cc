#include "common/json_text.h"

#include <boost/json/serialize.hpp>
#include <cstdio>
#include <string_view>

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

std::string escape(unsigned code_unit) {
  char text[8];
  std::snprintf(text, sizeof text, "\\u%04x", code_unit & 0xffff);
  return text;
}

}  // namespace

std::string json_text(const boost::json::value& value) {
  const std::string bytes = boost::json::serialize(value);
  std::string text;
  for (std::string_view rest = bytes; !rest.empty();) {
    std::size_t size = utf8_sequence_size(rest);
    if (size > 0) {
      text += rest.substr(0, size);
    } else if (begins_with_surrogate(rest)) {
      text += escape(0xd000 | (byte_at(rest, 1) & 0x3f) << 6 | (byte_at(rest, 2) & 0x3f));
      size = 3;
    } else {
      text += escape(0xdc00 | byte_at(rest, 0));
      size = 1;
    }
    rest.remove_prefix(size);
  }
  return text;
}

}  // namespace kiln
