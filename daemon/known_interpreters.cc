#include "daemon/known_interpreters.h"

namespace kiln {

Result<InterpreterInfo> KnownInterpreters::at(const std::string& path) {
  const auto known = known_.find(path);
  if (known != known_.end()) {
    const auto binary = identify_binary(known->second.executable);
    if (binary && *binary == known->second.binary) return known->second;
  }
  InterpreterInfo info = TRY(probe_interpreter(path));
  known_.insert_or_assign(path, info);
  return info;
}

}  // namespace kiln
