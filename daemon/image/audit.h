// What start-up code does, by the interpreter's own account (PEP 578). The hook is native and invisible to
// Python. It stays for the life of the process, where all it does is to notice hooks that the program adds.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace kiln::image {

struct StartUpEvents {
  std::vector<std::string> paths;  // opened for reading, or listed
  std::string problem;             // the first thing it did that a fork cannot repeat; empty: none
};

// Fails where the interpreter has no audit hooks.
Result<void> start_watching();
// From here on only hooks of the program's are noticed.
StartUpEvents stop_watching();

}  // namespace kiln::image
