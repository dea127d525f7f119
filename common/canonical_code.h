// Marshalled code in a form that does not tell which process compiled it.
//
// From 3.4 on marshal puts FLAG_REF on an object that something else holds, too: whatever it was that held it
// in the compiling process. 3.11 made it the same everywhere. Up to 3.10 it depends on what the process
// compiled before, so python -m compileall does not always write the bytes that it wrote the last time, and
// Kiln cannot equal it. It writes the canonical form instead, which Python reads as the very same code:
// FLAG_REF is on the objects that a reference follows for, and on no other; references count those alone. And
// strings of one character that is none of a name are not marked as interned, which they are if anything in
// the process has done it.
//
// Rejected: marshalling code anew in an interpreter, which costs more and leaves the reference counts in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace kiln {

// The canonical form of BODY, what follows a bytecode file's header: as long as BODY, and equal to BODY if
// that is canonical. Bytecode in which nothing needs it is returned as it is: of 2.7 and 3.0 to 3.3, which
// have no flags, of 3.11 and later, which must stay what compileall writes, and of unknown versions. Fails
// with Reason::bad_pyc if BODY is of a known version and no whole code object.
Result<std::string> canonical_code(std::string_view body, std::uint32_t magic);

}  // namespace kiln
