// In which of the three places a source's bytecode lies: in __pycache__, in a tree of its own
// (PYTHONPYCACHEPREFIX), or beside the source, as `compileall -b` leaves it.
#pragma once

#include <compare>
#include <optional>
#include <string>

#include "daemon/interpreter.h"

namespace kiln {

struct BytecodePlace {
  std::string prefix;   // sys.pycache_prefix, absolute; empty: none
  bool legacy = false;  // beside the source

  auto operator<=>(const BytecodePlace&) const = default;
};

// The file of SOURCE, absolute, in that place.
std::string bytecode_path(const BytecodePlace& place, const InterpreterInfo& interpreter,
                          const std::string& source, int optimize);

// The place of which PYC is the file of SOURCE. What lies in the overlay at OVERLAY belongs into __pycache__.
// MAGIC is of the bytecode: what Python 2 has beside a source, it has where it belongs. Nothing if PYC is no
// file of SOURCE in any place.
std::optional<BytecodePlace> place_of(const std::string& pyc, const std::string& source, std::uint32_t magic,
                                      const std::string& overlay);

// Whether the file PYC of the overlay is not what a run of Python would use: its tree can be written by now,
// so it has its bytecode there. With main scripts (IS_PROGRAM) it is, for Python keeps none of them.
bool is_superseded(const std::string& pyc, const std::string& source, bool is_program);
// Where the bytecode of SOURCE would lie that lies at PYC in the overlay.
std::string place_in_tree(const std::string& pyc, const std::string& source);

}  // namespace kiln
