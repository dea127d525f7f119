// Stepping into the interpreter from wherever its program happens to be.
#pragma once

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
  PyGILState_STATE gil_;
  bool collects_ = false;
  PyObject* type_ = nullptr;
  PyObject* value_ = nullptr;
  PyObject* traceback_ = nullptr;
};

// Whether a profile or trace function, or a tool that monitors, would hear of Python code that is run aside.
// Needs a PythonAside.
bool is_listened_to();

}  // namespace kiln::image
