#include "daemon/image/late_finalizers.h"

#include <sys/mman.h>

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
constexpr std::uintptr_t kPage = 4096;
constexpr std::uintptr_t kNear = 4 << 20;  // there may be nothing between two that lie further apart

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

bool is_set(std::uintptr_t slot) {
  return *reinterpret_cast<void* const*>(slot) != nullptr;
}

// Whether all pages from the one of FIRST to the one of LAST are there: msync(2) looks, and does nothing.
bool is_mapped(std::uintptr_t first, std::uintptr_t last) {
  const std::uintptr_t begin = first / kPage * kPage;
  return ::msync(reinterpret_cast<void*>(begin), last + sizeof(void*) - begin, MS_ASYNC) == 0;
}

// SLOTS, in order, that hold something, or are gone.
bool any_is_set(std::span<const std::uintptr_t> slots) {
  if (is_mapped(slots.front(), slots.back())) return std::ranges::any_of(slots, is_set);
  return std::ranges::any_of(slots,
                             [](std::uintptr_t slot) { return !is_mapped(slot, slot) || is_set(slot); });
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

void order_classes() {
  std::ranges::sort(slots());
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
  for (std::size_t at = 0; at < all.size();) {
    std::size_t end = at + 1;
    while (end < all.size() && all[end] - all[end - 1] < kNear) ++end;
    if (any_is_set(all.subspan(at, end - at))) return true;
    at = end;
  }
  return false;
}

}  // namespace kiln::image
