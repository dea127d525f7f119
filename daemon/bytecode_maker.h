// Makes bytecode of sources: out of the store, or by compiling, and then into the store.
#pragma once

#include <string>
#include <string_view>

#include "daemon/compiler_pool.h"
#include "daemon/interpreter.h"
#include "daemon/source_text.h"
#include "daemon/write_behind_store.h"

namespace kiln {

struct BytecodeWish {
  const InterpreterInfo& interpreter;
  int optimize = 0;
  const std::string& filename;  // to embed
  bool force = false;           // compile, whatever the store has
};

struct MadeBytecode {
  Compiled compiled;                 // or why it cannot be
  bool restored = false;             // nothing was compiled
  std::uint64_t source_content = 0;  // content_id() of the source (daemon/digest.h)
};

// Blocks. SOURCE is what is compiled. An Error is about the interpreter as such, or CANCEL became readable
// (daemon/compile_worker.h).
Result<MadeBytecode> make_bytecode(const BytecodeWish& wish, const std::string& source,
                                   CompilerPool& compilers, WriteBehindStore& store, int cancel);

// Whether BODY, what follows a bytecode file's header, is what the store has for SOURCE, under whatever file
// name.
bool is_stored_code(std::string_view body, const BytecodeWish& wish, const std::string& source,
                    WriteBehindStore& store);

}  // namespace kiln
