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

// Offsets of fields of PyTypeObject, as they are in 3.8 to 3.13 (Include/cpython/object.h).
constexpr std::size_t kReferences =
    0;  // in 3.12 and 3.13 half of it, which is never zero in a class that lives
constexpr std::size_t kMetaclass = 8;
constexpr std::size_t kName = 24;
constexpr std::size_t kFinalizer = 392;
constexpr std::uintptr_t kPage = 4096;
constexpr std::uintptr_t kNear = 4 << 20;  // there may be nothing between two that lie further apart

// What is known of a class without holding it.
struct KnownClass {
  const PyTypeObject* address = nullptr;
  const void* metaclass = nullptr;
  const void* name = nullptr;

  std::uintptr_t begin() const { return reinterpret_cast<std::uintptr_t>(address); }
  std::uintptr_t end() const { return begin() + kFinalizer + sizeof(void*); }
  const void* field(std::size_t offset) const { return *reinterpret_cast<void* const*>(begin() + offset); }
};

std::vector<KnownClass>& classes() {
  static auto* classes = new std::vector<KnownClass>;
  return *classes;
}

bool layout_is_known = true;
bool has_changed_class = false;  // to one with a finalizer

using Setter = int (*)(PyObject*, PyObject*, void*);
Setter set_class = nullptr;

int see_class(PyObject* object, PyObject* type, void* closure) {
  if (type != nullptr && PyType_Check(type) != 0 && attribute(type, "__del__")) has_changed_class = true;
  return set_class(object, type, closure);
}

// Whether KNOWN, whose memory is there, has come to have a finalizer. Of a class that is gone no objects are
// left, and what lies in its place may be anything: then it has no references, or another metaclass or name.
bool was_given_finalizer(const KnownClass& known) {
  return known.field(kFinalizer) != nullptr && known.field(kReferences) != nullptr &&
         known.field(kMetaclass) == known.metaclass && known.field(kName) == known.name;
}

// Whether all pages from BEGIN to END are there: msync(2) looks, and does nothing.
bool is_mapped(std::uintptr_t begin, std::uintptr_t end) {
  const std::uintptr_t first = begin / kPage * kPage;
  return ::msync(reinterpret_cast<void*>(first), end - first, MS_ASYNC) == 0;
}

// KNOWN: in the order of their addresses.
bool any_was_given_finalizer_of(std::span<const KnownClass> known) {
  if (is_mapped(known.front().begin(), known.back().end()))
    return std::ranges::any_of(known, was_given_finalizer);
  return std::ranges::any_of(known, [](const KnownClass& one) {
    return is_mapped(one.begin(), one.end()) && was_given_finalizer(one);
  });
}

}  // namespace

void forget_classes() {
  classes().clear();
}

void note_class(PyTypeObject* type) {
  if ((PyType_GetFlags(type) & Py_TPFLAGS_HEAPTYPE) == 0) return;  // for good as it is
  KnownClass known{type, Py_TYPE(type), nullptr};
  known.name = known.field(kName);
  const void* finalizer = PyType_GetSlot(type, Py_tp_finalize);
  layout_is_known =
      layout_is_known && known.field(kFinalizer) == finalizer && known.field(kMetaclass) == known.metaclass;
  if (finalizer == nullptr) classes().push_back(known);
}

void order_classes() {
  std::ranges::sort(classes(), {}, &KnownClass::begin);
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
  const std::span<const KnownClass> all = classes();
  for (std::size_t at = 0; at < all.size();) {
    std::size_t end = at + 1;
    while (end < all.size() && all[end].begin() - all[end - 1].begin() < kNear) ++end;
    if (any_was_given_finalizer_of(all.subspan(at, end - at))) return true;
    at = end;
  }
  return false;
}

}  // namespace kiln::image
