// How Python holds bytes that are no UTF-8 in a string (PEP 383), as marshal writes such a string: each byte
// that belongs to no valid sequence is a surrogate from U+DC80 to U+DCFF, encoded in three bytes
// ("surrogatepass").
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kiln {

// RAW, a path as the kernel has it, as marshal writes os.fsdecode(RAW) under a UTF-8 file system encoding.
std::string escape_surrogates(std::string_view raw);

// The way back.
std::string unescape_surrogates(std::string_view text);

// Bytes of the UTF-8 sequence that BYTES begin with (RFC 3629: no surrogates, nothing overlong, up to
// U+10FFFF). 0: they begin with none.
std::size_t utf8_sequence_size(std::string_view bytes);

}  // namespace kiln
