// What every command of Kiln exits with.
#pragma once

#include "common/result.h"

namespace kiln {

constexpr int kExitDone = 0;
constexpr int kExitFix = 1;     // something that the user must put right
constexpr int kExitUsage = 2;   // wrong usage
constexpr int kExitUnable = 3;  // Kiln itself could not

// Whoever names an interpreter that is not there has given a wrong argument. A mistake in the configuration,
// a program that is no interpreter, a file that is not there or not of the kind: these are the user's to put
// right; what else fails in a command is ours.
inline int exit_code(const Error& error) {
  switch (error.reason) {
    case Reason::usage:
    case Reason::interpreter_missing:
      return kExitUsage;
    case Reason::config:
    case Reason::interpreter:
    case Reason::not_found:
    case Reason::bad_pyc:
      return kExitFix;
    default:
      return kExitUnable;
  }
}

}  // namespace kiln
