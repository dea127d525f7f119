// What ps(1) and pgrep(1) -f show of this process. While it stands in for a program, that alone should be
// found by the program's name: who signals what is found would signal it twice else.
#pragma once

#include <span>

namespace kiln {

// ARGUMENTS: those of main(), with the program's name. To be called first.
void note_own_title(std::span<char*> arguments);

// "kiln" from now on. Nobody may look at the arguments any more.
void be_nameless();

}  // namespace kiln
