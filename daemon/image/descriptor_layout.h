// What is behind a method or an attribute of a native type, or a native function: cpython/descrobject.h and
// cpython/methodobject.h, which are not in the limited API, the same in 3.8 to 3.13. An object's head, type,
// name and qualified name come first; of a function, its head alone.
#pragma once

#include <Python.h>

#include <array>

namespace kiln::image {

struct MethodDescriptor {
  std::array<void*, 2> head;
  std::array<void*, 3> common;
  PyMethodDef* method;
};

struct NativeFunction {
  std::array<void*, 2> head;
  PyMethodDef* method;
};

struct GetSetDescriptor {
  std::array<void*, 2> head;
  std::array<void*, 3> common;
  PyGetSetDef* definition;
};

// Whatever a method's calling convention (METH_NOARGS, METH_FASTCALL | METH_KEYWORDS, ...): all arguments are
// pointers or sizes, of which the ABI of x86-64 passes so many in registers, and a function that takes fewer
// does not look at the rest.
using NativeMethod = void* (*)(void*, void*, void*, void*, void*, void*);

}  // namespace kiln::image
