// Which objects has the run made? Asking the collector for all of its objects takes a reference to each, and
// so copies every page of the image that holds one: a millisecond and more. The collector's youngest list,
// though, is in order of making. A marker that is put there as the program begins tells old from new, for as
// long as nothing is collected, nor moved by gc.freeze().
//
// This reads the links of the list (PyGC_Head: two words before the object, the same in every served
// version), which no stable interface offers. So the layout is put to a test in each image; where it is
// another, one asks the collector.
#pragma once

#include <Python.h>

#include <functional>

namespace kiln::image {

// In an image: are the links where we think they are? Remembered.
void test_object_list();

// In a child, last of all before the program begins.
void mark_object_list();

// Calls VISIT for each object that the collector tracks and that may be newer than the mark; stops when it
// returns true, and returns whether it did. Fails (true, too) if the objects cannot be had.
bool any_new_object(const std::function<bool(PyObject*)>& visit);

}  // namespace kiln::image
