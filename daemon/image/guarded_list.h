// A list at which nobody can look unseen, neither Python nor C: it lies on a page of its own, to which all
// access is forbidden while it is guarded. Who looks takes a fault, of which the fence hears.
//
// Rejected: a subclass of list whose methods tell. C code that asks for exact lists (marshal, pickle,
// ''.join) goes another way with it, or past it, and type(sys.argv) shows it.
#pragma once

#include <Python.h>

#include "daemon/image/python_ref.h"

namespace kiln::image {

// A copy of LIST, an exact list, that can be guarded. No collector sees it before track(). Empty: there is
// none to be had, as with an allocator that would not free it.
PythonRef make_guardable(PyObject* list);

// Forbids, or allows, all looks at LIST, made as above.
void guard(PyObject* list);
void unguard(PyObject* list);
// As any other list, for good.
void track(PyObject* list);

bool lies_on_page_of(PyObject* list, const void* address);

// Whether the collector is looking through DICT now: what it holds is looked at by nobody else.
bool is_being_collected(PyObject* dict);

}  // namespace kiln::image
