// Looking at Python objects, without minding errors: what cannot be had is nothing.
#pragma once

#include <Python.h>

#include <string>
#include <string_view>

#include "daemon/image/python_ref.h"

namespace kiln::image {

// OBJECT may be null. No exception is left.
PythonRef attribute(PyObject* object, const char* name);

// Of a frame. No audit hook of the program's hears of it, from 3.9 on.
PythonRef code_of(PyObject* frame);

// `self` of the innermost running function of this name. Needs a PythonAside.
PythonRef self_of(std::string_view function);

// What OBJECT has in its own dictionary.
PythonRef own_attribute(PyObject* object, const char* name);

bool is_text(PyObject* object, std::string_view text);

// Of a str, in the file system's encoding; empty for anything else.
std::string text_of(PyObject* object);

}  // namespace kiln::image
