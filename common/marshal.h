// Marshalled code objects, read without building them (Python/marshal.c): 2.7 and 3.0 to 3.14.
//
// An object is a type byte, whose high bit (FLAG_REF, 3.4 and later) says that it is referred to later, and
// what the type asks for. A code object is numbers and objects in an order that depends on the version:
//
//   2.7        argcount, nlocals, stacksize, flags;
//              code, consts, names, varnames, freevars, cellvars, filename, name; firstlineno; lnotab
//   3.0 - 3.7  after argcount: kwonlyargcount
//   3.8 - 3.10 after argcount: posonlyargcount, kwonlyargcount
//   3.11 -     no nlocals; varnames, freevars and cellvars are now localsplusnames and localspluskinds; after
//              name: qualname; after lnotab, now linetable: exceptiontable
//
// Nothing here trusts its input: nesting is limited as in CPython, to 2,000, no length is believed before the
// bytes are there, and no more is allocated than a small multiple of the input's size.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/magic.h"

namespace kiln {

// Which field of a code object an object is. Members of its tuples are `other`.
enum class CodeField : std::uint8_t { other, filename, name, qualname };

// A string of bytes or text, where it is written out.
struct MarshalString {
  std::uint32_t offset = 0;   // of its type byte in the body
  std::uint32_t size = 0;     // bytes from there to its end
  char type = 0;              // without FLAG_REF: one of s t u a A z Z
  bool flagged = false;       // with FLAG_REF
  std::string_view contents;  // in the body; text is UTF-8 in which surrogates are encoded, too
};

// Whether an object with this type byte is a string.
bool is_marshal_string(char byte);

// Reads the string at OFFSET, where walk_code has met one.
MarshalString marshal_string_at(std::string_view body, std::uint32_t offset);

// An object in the place of which stands a reference to one that was there before.
struct MarshalReference {
  std::uint32_t offset = 0;  // of its type byte in the body; its index, a u32, follows
  std::uint32_t index = 0;   // which of the objects that were counted
  std::uint32_t target = 0;  // offset of that object's type byte
};

// Told, in the order of the bytes, what a walk meets.
class MarshalVisitor {
 public:
  virtual ~MarshalVisitor() = default;
  virtual void code_begins() {}
  virtual void code_ends(std::int32_t first_line) { static_cast<void>(first_line); }
  virtual void meets(CodeField, const MarshalString&) {}
  virtual void refers(CodeField, const MarshalReference&) {}
  // An object that references may mean begins at OFFSET: with FLAG_REF, or interned in 2.7.
  virtual void counts(std::uint32_t offset) { static_cast<void>(offset); }
};

// Walks BODY, what follows a bytecode file's header, of this format. True if it is a code object from the
// first byte to the last, as far as lengths, types and references tell; else the visitor has seen a part of
// it.
bool walk_code(std::string_view body, const BytecodeFormat& format, MarshalVisitor& visitor);

// Whether BODY is one whole code object. Of a magic number that we do not know it is true without a look.
// Python itself raises on a bytecode file that was cut off behind a valid header, at every import, and never
// heals it.
bool is_whole_code(std::string_view body, std::uint32_t magic);

}  // namespace kiln
