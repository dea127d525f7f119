// Removing a class that image.py made, with nothing left of it in its bases' __subclasses__().
#pragma once

#include <Python.h>

namespace kiln::image {

// Takes the class NAME out of a module's GLOBALS (a dict) and destroys it, unless somebody still uses it.
void forget_class(PyObject* globals, const char* name);

}  // namespace kiln::image
