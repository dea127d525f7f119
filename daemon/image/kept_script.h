// The compiled code of main scripts. Python compiles a script at every run and keeps nothing of it; Kiln
// keeps it in its overlay (common/overlay.h), never in a __pycache__, as bytecode of a source with these very
// bytes.
//
// Like all that is in the overlay it was compiled by a worker of the same interpreter, in the background, and
// is left out where compiling said anything: errors and warnings are Python's own, at every run.
#pragma once

#include <string>

#include "daemon/image/python_ref.h"

namespace kiln::image {

class KeptScript {
 public:
  // The script whose path is PATH, absolute and without symlinks, with the text SOURCE, which must outlive
  // this. Kept are those named *.py (bytecode is found by that) that take longer to compile than their code
  // takes to find.
  KeptScript(std::string path, const std::string& source);

  // Its code, with FILENAME as file name. Nothing, and no error: it must be compiled.
  PythonRef code(const std::string& filename);

  // What had better be kept: the path, or nothing.
  std::string wanted() const { return place_.empty() ? std::string() : path_; }

 private:
  std::string path_;
  const std::string& source_;
  std::string place_;  // in the overlay; empty: not kept
};

}  // namespace kiln::image
