// A rehearsal: a program is run ahead, in a child of a bare image, behind a fence (fence.h), and becomes an
// image itself at its first step that is more than looking at recorded inputs.
//
// The program is the program: nothing is imported early, reordered or guessed, and all that it has made of
// itself, its stack included, is in its children, who go on from that very instruction. What it looked at on
// its way decides for which runs it may do so: the daemon compares that for each (common/rehearsal.h).
//
// What cannot be seen from outside the process, its arguments and variables, is recorded (recorders.h); what
// belongs to one process or moment, and can be made up for, is in a table (known_step.h). Before the program
// first looks at its arguments, a fork stays behind there, for runs with others.
#pragma once

#include <span>
#include <vector>

#include "common/rehearsal.h"
#include "common/unique_fd.h"
#include "daemon/image/run_notes.h"

namespace kiln::image {

// ORDER: a memfd with a RehearsalOrder, then a channel for each image that this may leave, the first one's
// first: a RehearsalReport is the first message on each. Returns in no process; what cannot be rehearsed
// ends, and closes them.
[[noreturn]] void rehearse(std::vector<UniqueFd> order, RunNotes notes);

}  // namespace kiln::image
