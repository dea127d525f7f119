#include "daemon/image/guarded_list.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace kiln::image {
namespace {

constexpr std::size_t kPage = 4096;

// Include/cpython/listobject.h and objimpl.h: not in the limited API, the same in 3.8 to 3.13.
struct CollectorLinks {
  std::uintptr_t next;
  std::uintptr_t previous;  // with flags in its low bits
};
constexpr std::uintptr_t kCollecting = 2;  // _PyGC_PREV_MASK_COLLECTING

void* page_of(PyObject* list) {
  return reinterpret_cast<char*>(list) - sizeof(CollectorLinks);
}

}  // namespace

// Python frees it by free(3), for it is none of its own allocator's.
PythonRef make_guardable(PyObject* list) {
  if (std::getenv("PYTHONMALLOC") != nullptr || ::sysconf(_SC_PAGESIZE) != static_cast<long>(kPage))
    return {};
  void* page = std::aligned_alloc(kPage, kPage);
  if (page == nullptr) return {};
  std::memset(page, 0, kPage);
  auto* object = reinterpret_cast<PyObject*>(static_cast<char*>(page) + sizeof(CollectorLinks));
  PythonRef copy{PyObject_Init(object, &PyList_Type)};
  if (PyList_SetSlice(copy.get(), 0, 0, list) != 0) return {};
  return copy;
}

void guard(PyObject* list) {
  ::mprotect(page_of(list), kPage, PROT_NONE);
}

void unguard(PyObject* list) {
  ::mprotect(page_of(list), kPage, PROT_READ | PROT_WRITE);
}

void track(PyObject* list) {
  PyObject_GC_Track(list);
}

bool lies_on_page_of(PyObject* list, const void* address) {
  const auto begin = reinterpret_cast<std::uintptr_t>(page_of(list));
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  return at >= begin && at < begin + kPage;
}

bool is_being_collected(PyObject* dict) {
  return ((reinterpret_cast<const CollectorLinks*>(dict) - 1)->previous & kCollecting) != 0;
}

}  // namespace kiln::image
