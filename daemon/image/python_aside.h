// Stepping into the interpreter from wherever its program happens to be.
#pragma once

#include "daemon/image/error_aside.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {

// For as long as it lives this thread has the GIL, no exception is set, and the collector does not run:
// nothing of the program's happens because of what is done here.
class PythonAside {
 public:
  PythonAside();
  ~PythonAside();
  PythonAside(const PythonAside&) = delete;
  PythonAside& operator=(const PythonAside&) = delete;

 private:
  class Gil {
   public:
    ~Gil() { PyGILState_Release(state_); }

   private:
    PyGILState_STATE state_ = PyGILState_Ensure();
  };

  Gil gil_;
  ErrorAside error_;
  bool collects_ = false;
};

// Whether a profile or trace function, or a tool that monitors, would hear of Python code that is run aside.
// Needs a PythonAside.
bool is_listened_to();

}  // namespace kiln::image
