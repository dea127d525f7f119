// Where a program is.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace kiln::image {

struct PythonFrame {
  std::string module;    // __name__ of its globals
  std::string function;  // <module> for a module's own code
  std::string file;
  long line = 0;
  const void* globals = nullptr;  // by its address
};

// The innermost LIMIT frames, the innermost first. Needs a PythonAside.
std::vector<PythonFrame> python_stack(std::size_t limit);

}  // namespace kiln::image
