#include "daemon/source_encoding.h"

#include <iconv.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <regex>
#include <type_traits>

namespace kiln {
namespace {

constexpr std::size_t kDeclarationLines = 2;
constexpr std::size_t kMaxLine = 1'000;  // bytes in which one is looked for: the regex takes stack for each
constexpr std::size_t kMaxGrowth = 4;    // a character of UTF-8 has so many bytes at most

struct CloseConversion {
  void operator()(iconv_t conversion) const { ::iconv_close(conversion); }
};
using Conversion = std::unique_ptr<std::remove_pointer_t<iconv_t>, CloseConversion>;

Conversion conversion_from(const std::string& encoding) {
  const iconv_t opened = ::iconv_open("UTF-8", encoding.c_str());
  return Conversion(opened == reinterpret_cast<iconv_t>(-1) ? nullptr : opened);
}

// Python has latin-1 for what iconv calls LATIN1.
std::string without_dashes(std::string encoding) {
  std::erase_if(encoding, [](char c) { return c == '-' || c == '_'; });
  return encoding;
}

}  // namespace

std::string declared_encoding(std::string_view source) {
  static const std::regex declaration("^[ \\t\\f]*#.*?coding[:=][ \\t]*([-_.a-zA-Z0-9]+).*");
  static const std::regex blank("^[ \\t\\f]*(#.*)?");
  for (std::size_t line = 0; line < kDeclarationLines; ++line) {
    const std::string text(source.substr(0, std::min(source.find_first_of("\r\n"), kMaxLine)));
    if (std::smatch found; std::regex_match(text, found, declaration)) return found[1];
    if (!std::regex_match(text, blank) || source.find('\n') == std::string_view::npos) break;
    source.remove_prefix(source.find('\n') + 1);
  }
  return {};
}

std::string in_utf8(std::string_view text, const std::string& encoding) {
  Conversion conversion = conversion_from(encoding);
  if (!conversion) conversion = conversion_from(without_dashes(encoding));
  if (!conversion) return std::string(text);
  std::string from(text);
  std::string to(text.size() * kMaxGrowth, '\0');
  char* read = from.data();
  char* written = to.data();
  std::size_t to_read = from.size();
  std::size_t room = to.size();
  if (::iconv(conversion.get(), &read, &to_read, &written, &room) == static_cast<std::size_t>(-1))
    return std::string(text);
  to.resize(to.size() - room);
  return to;
}

}  // namespace kiln
