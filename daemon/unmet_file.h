// A source that Kiln has neither compiled nor seen imported.
#pragma once

#include <string>

#include "daemon/index_thread.h"

namespace kiln {

// What bytecode of SOURCE, absolute, lies in its __pycache__: entries without an interpreter, for of that the
// files tell only the tag.
KnownFile unmet_file(const std::string& source);

// The same of the one bytecode file PYC in a __pycache__. None: it is no such file.
KnownFile unmet_bytecode(const std::string& pyc);

}  // namespace kiln
