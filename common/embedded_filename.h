// The name of its source that every code object carries (co_filename), and that tracebacks show. Changing it
// in the bytes gives what compiling the same source under the other name gives, for a fraction of the price.
//
// How marshal writes the name of a module's many code objects:
//
//   2.7, 3.0 - 3.3   out, in each of them: 's'; from 3.0 on 'u'
//   3.4 -            out in the first, which is a leaf, for constants come before names; the others refer to
//   it.
//                    ASCII of up to 255 bytes is 'z', longer ASCII 'a', all else 'u', UTF-8 in which
//                    surrogates are encoded ("surrogatepass"). 3.13 interns the name, and so writes 'Z', 'A'
//                    or 't'.
//
// marshal shares objects, not values. So where the very object that is the name is something else as well,
// such as a constant, or where the new name could be an object that is already there, bytes cannot tell what
// a compiler would do, and the answer is an error: compile anew.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace kiln {

struct EmbeddedFilename {
  std::uint32_t offset = 0;  // of its type byte in the body, where it is written out for the first time
  std::uint32_t size = 0;    // bytes from there to its end: type, length and contents
  char type = 0;             // marshal's letter without FLAG_REF
  std::string name;          // raw bytes, as os.fsencode gives them under UTF-8
};

// The co_filename of the module's code object in BODY, what follows a bytecode file's header. All code
// objects in BODY have it, or there is an error: Reason::bad_pyc if BODY is damaged, of an unknown magic
// number, or not what a compiler writes.
Result<EmbeddedFilename> find_filename(std::string_view body, std::uint32_t magic);

// BODY as if it had been compiled under NEW_FILENAME, given as raw bytes, by an interpreter whose file system
// encoding is UTF-8 (surrogateescape): byte for byte, under the conditions under which the compiler equals
// itself. Fails with Reason::bad_pyc as find_filename, and where the bytes cannot tell.
Result<std::string> replace_filename(std::string_view body, std::uint32_t magic,
                                     std::string_view new_filename);

}  // namespace kiln
