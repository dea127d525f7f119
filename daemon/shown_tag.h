// The tag by which people tell the bytecode of one version of Python from another's.
#pragma once

#include <string>

#include "daemon/index.h"

namespace kiln {

// The cache tag; of Python 2.7, which has none, what it would be: cpython-27.
std::string shown_tag(const IndexEntry& entry);

}  // namespace kiln
