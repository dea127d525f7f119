// Findings about programs: Kiln's own, those that stand for it on PATH and in systemd, and Python.
#pragma once

#include "client/finding.h"

namespace kiln {

// Are kilnd and what it loads there, and of this build?
Findings installation_findings();
// Which kiln does a shell find?
Findings path_findings();
// Do links named python that lead to Kiln stand for an interpreter?
Findings link_findings();
// Which interpreter do runs use, and does it start?
Findings interpreter_findings();
// Is a KILN_* variable set that turns Kiln off, or that has no meaning?
Findings variable_findings();
// Of those, only the ones without a meaning. Empty: there is none.
Findings unknown_variable_findings();
// Does a systemd unit start this installation's daemon?
Findings unit_findings();

}  // namespace kiln
