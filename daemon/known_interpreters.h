// Interpreters that were asked once who they are (daemon/interpreter.h), which holds until the file changes.
#pragma once

#include <map>
#include <string>

#include "common/result.h"
#include "daemon/interpreter.h"

namespace kiln {

// Belongs to one thread.
class KnownInterpreters {
 public:
  // What PATH, absolute, is now. Blocks for as long as an interpreter takes to start if it must be asked.
  Result<InterpreterInfo> at(const std::string& path);

 private:
  std::map<std::string, InterpreterInfo> known_;  // by path
};

}  // namespace kiln
