// A source that Kiln has neither compiled nor seen imported.
#pragma once

#include <string>

#include "daemon/index_thread.h"

namespace kiln {

// What bytecode of SOURCE, absolute, lies in its __pycache__: entries without an interpreter, for of that the
// files tell only the tag.
KnownFile unmet_file(const std::string& source);

}  // namespace kiln
