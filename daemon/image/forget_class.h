// Removing a class that Kiln made, with nothing left of it in its bases' __subclasses__(), or among all
// objects.
#pragma once

#include <Python.h>

namespace kiln::image {

// Takes the class NAME out of a module's GLOBALS (a dict) and destroys it, unless somebody still uses it.
void forget_class(PyObject* globals, const char* name);

// Has TYPE, a class of a native type's making, go with its last reference. Nobody but itself and the caller
// may hold it.
void break_cycles(PyObject* type);

}  // namespace kiln::image
