#include "daemon/image/late_finalizers.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "daemon/image/descriptor_layout.h"
#include "daemon/image/look.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

// Include/cpython/object.h: tp_finalize, where it is in 3.8 to 3.13, which note_class() tries.
constexpr std::size_t kFinalizer = 392;
constexpr std::size_t kAtOnce = 1024;  // IOV_MAX

std::vector<std::uintptr_t>& slots() {
  static auto* addresses = new std::vector<std::uintptr_t>;
  return *addresses;
}

bool layout_is_known = true;
bool has_changed_class = false;  // to one with a finalizer

using Setter = int (*)(PyObject*, PyObject*, void*);
Setter set_class = nullptr;

int see_class(PyObject* object, PyObject* type, void* closure) {
  if (type != nullptr && PyType_Check(type) != 0 && attribute(type, "__del__")) has_changed_class = true;
  return set_class(object, type, closure);
}

// ADDRESSES that hold something, or are gone.
bool any_is_set(std::span<const std::uintptr_t> addresses) {
  std::vector<void*> values(addresses.size(), nullptr);
  std::vector<iovec> there;
  for (const std::uintptr_t address : addresses)
    there.push_back({reinterpret_cast<void*>(address), sizeof(void*)});
  const iovec here{values.data(), values.size() * sizeof(void*)};
  const ssize_t size = ::process_vm_readv(::getpid(), &here, 1, there.data(), there.size(), 0);
  return size != static_cast<ssize_t>(here.iov_len) ||
         std::ranges::any_of(values, [](const void* value) { return value != nullptr; });
}

}  // namespace

void forget_classes() {
  slots().clear();
}

void note_class(PyTypeObject* type) {
  if ((PyType_GetFlags(type) & Py_TPFLAGS_HEAPTYPE) == 0) return;  // for good as it is
  const auto slot = reinterpret_cast<std::uintptr_t>(type) + kFinalizer;
  const void* finalizer = PyType_GetSlot(type, Py_tp_finalize);
  layout_is_known = layout_is_known && *reinterpret_cast<void* const*>(slot) == finalizer;
  if (finalizer == nullptr) slots().push_back(slot);
}

void watch_class_changes() {
  if (set_class != nullptr) return;
  const PythonRef table = attribute(reinterpret_cast<PyObject*>(&PyBaseObject_Type), "__dict__");
  const PythonRef descriptor{table ? PyMapping_GetItemString(table.get(), "__class__") : nullptr};
  if (!descriptor) return PyErr_Clear();
  PyGetSetDef& definition = *reinterpret_cast<GetSetDescriptor*>(descriptor.get())->definition;
  set_class = definition.set;
  definition.set = see_class;
}

bool any_was_given_finalizer() {
  if (has_changed_class || !layout_is_known) return true;
  const std::span<const std::uintptr_t> all = slots();
  for (std::size_t at = 0; at < all.size(); at += kAtOnce) {
    if (any_is_set(all.subspan(at, std::min(kAtOnce, all.size() - at)))) return true;
  }
  return false;
}

}  // namespace kiln::image
