// The tally: a file in the runtime directory to which a client adds a line, the word of the reason, for each
// run that it executes. The daemon takes it from there: now and then, when it is asked, and when it starts.
// So telling costs no message, nobody waits, and it needs no daemon.
//
// The daemon renames the file before it reads it: a client that opened it just then may be missed.
#pragma once

#include <cstddef>
#include <string>

#include "common/reason.h"

namespace kiln {

constexpr std::size_t kMaxTally = 1U << 20;  // bytes; nobody has taken it for long, and no more is counted

// Into an existing runtime directory of one's own. What fails is not counted.
void tally_run(const std::string& runtime_dir, Reason reason);

// All lines since the last time.
std::string take_tally(const std::string& runtime_dir);

}  // namespace kiln
