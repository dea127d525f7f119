// A property that must hold whatever the input: a fuzzer takes an abort for a find.
#pragma once

#include <cstdlib>

namespace kiln {

inline void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace kiln
