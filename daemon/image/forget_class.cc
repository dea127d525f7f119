#include "daemon/image/forget_class.h"

#include <cstddef>
#include <cstring>

#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

using Clear = int (*)(PyObject*);

// offsetof(PyTypeObject, tp_clear) from 3.8 to 3.13, which the stable ABI does not tell.
constexpr std::size_t kClearOffset = 192;

// Of a class that nobody but itself holds: its __mro__, and the descriptors of its two slots.
constexpr Py_ssize_t kOwnReferences = 3;

}  // namespace

// A class lies in reference cycles, so only the collector ends it. To run that would move everything else
// from one generation to the next, and be counted, which programs see. So its own part is done here.
void forget_class(PyObject* globals, const char* name) {
  const PythonRef found = PythonRef::borrowed(PyDict_GetItemString(globals, name));
  if (!found || PyType_Check(found.get()) == 0) return;
  PyDict_DelItemString(globals, name);
  if (Py_REFCNT(found.get()) == kOwnReferences + 1) break_cycles(found.get());
}

void break_cycles(PyObject* type) {
  Clear clear = nullptr;
  std::memcpy(&clear, reinterpret_cast<const char*>(&PyType_Type) + kClearOffset, sizeof clear);
  clear(type);
}

}  // namespace kiln::image
