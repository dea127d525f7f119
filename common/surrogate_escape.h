// How Python holds bytes that are no UTF-8 in a string (PEP 383), as marshal writes such a string: each byte
// that belongs to no valid sequence is a surrogate from U+DC80 to U+DCFF, encoded in three bytes
// ("surrogatepass").
#pragma once

#include <string>
#include <string_view>

namespace kiln {

// RAW, a path as the kernel has it, as marshal writes os.fsdecode(RAW) under a UTF-8 file system encoding.
std::string escape_surrogates(std::string_view raw);

// The way back.
std::string unescape_surrogates(std::string_view text);

}  // namespace kiln
