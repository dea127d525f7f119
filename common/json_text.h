// The one JSON document that a command prints for --json.
//
// A path need not be UTF-8, and JSON must be. Bytes that are none are written as Python's os.fsdecode has
// them, by PEP 383: the byte ff as the escape \udcff, so that json.loads and os.fsencode give back the path.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

namespace kiln {

// VALUE in one line. Its strings may hold any bytes; surrogates that are encoded as in marshal
// (common/surrogate_escape.h) become escapes, too.
std::string json_text(const boost::json::value& value);

// Adds TEXT, any bytes, as a JSON string to DOCUMENT, which is too long to be a value first.
void append_json_string(std::string& document, std::string_view text);

}  // namespace kiln
