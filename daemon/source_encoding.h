// In which encoding a source's bytes are text (PEP 263).
#pragma once

#include <string>
#include <string_view>

namespace kiln {

// As SOURCE declares it in one of its first two lines: "latin-1". Empty: it does not, and is UTF-8.
std::string declared_encoding(std::string_view source);

// TEXT, which is in ENCODING, a name of Python's, in UTF-8. As it is where iconv(3) knows no such encoding,
// or TEXT is not in it.
std::string in_utf8(std::string_view text, const std::string& encoding);

}  // namespace kiln
