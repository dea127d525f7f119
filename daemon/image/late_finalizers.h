// Objects that an image has made have been looked through for finalizers once, before any run (finalizers.h).
// A run may give them one later: their class a __del__, or themselves another class.
//
// A class keeps its finalizer in a slot of its own, which is read anew at the end: by address, for nothing
// here may keep a class alive. It may be gone by then: so the kernel is asked what memory is still there, for
// many classes at once, and what lies there must still look like the class. (process_vm_readv(2) of each
// takes 0.5 ms with pandas' 1,350.) Objects change their class by the attribute __class__, whose setter in
// object's table passes through here.
#pragma once

#include <Python.h>

namespace kiln::image {

// In an image, before it looks through its objects: nothing is noted yet.
void forget_classes();
// TYPE is one of those whose objects may lie around.
void note_class(PyTypeObject* type);
// All are noted.
void order_classes();
// From now on, changes of objects' classes are seen. Once a process; forks go on.
void watch_class_changes();

// In a run, at its end: whether any object of the image may have been given a finalizer.
bool any_was_given_finalizer();

}  // namespace kiln::image
