// Whether bytes are one whole marshalled code object, without building it (Python/marshal.c). Python itself
// raises on a bytecode file that was cut off behind a valid header, at every import, and never heals it.
#pragma once

#include <cstdint>
#include <string_view>

namespace kiln {

// True if BODY, what follows a bytecode file's header with this magic number, is a code object from the first
// byte to the last as far as lengths and types tell. Of an interpreter that we do not know it is true without
// a look: CPython 3.7 to 3.14 are known.
bool is_whole_code(std::string_view body, std::uint32_t magic);

}  // namespace kiln
