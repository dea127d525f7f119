// Before Python itself is executed.
#pragma once

#include "common/reason.h"

namespace kiln {

// Asks a living daemon to remove what would mislead Python, whose own rule takes bytecode for fresh while its
// source's size and second of change are as they were. Returns when that is done, or cannot be; false:
// nobody was asked. WHY the run is executed tells whether a daemon may be asked at all. None is started, and
// one that hangs is waited for only shortly.
bool settle_bytecode(Reason why);

}  // namespace kiln
