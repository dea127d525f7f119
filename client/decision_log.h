// The one line of KILN_LOG=1.
#pragma once

#include <string>

#include "common/reason.h"

namespace kiln {

// Whether it is wanted, and there is a standard error. To be asked before any descriptor is opened: what is
// number 2 later, where standard error is closed, is one of ours.
bool logs_decisions();

// "kiln: exec reason=no-daemon (...)": HOW the program is run, and why so. Without DETAIL the reason's own
// words.
void log_decision(const char* how, Reason reason, const std::string& detail);

}  // namespace kiln
