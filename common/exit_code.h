// What every command of Kiln exits with.
#pragma once

namespace kiln {

constexpr int kExitDone = 0;
constexpr int kExitFix = 1;     // something that the user must put right
constexpr int kExitUsage = 2;   // wrong usage
constexpr int kExitUnable = 3;  // Kiln itself could not

}  // namespace kiln
