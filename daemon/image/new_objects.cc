#include "daemon/image/new_objects.h"

#include <array>
#include <cstdint>

#include "daemon/image/interpreter_state.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

// Include/internal/pycore_gc.h. The low bits of next are used during a collection only.
struct Links {
  std::uintptr_t next;
  std::uintptr_t previous;
};

bool layout_is_known = false;
PyObject* marker = nullptr;  // kept for good
std::uintptr_t list_end = 0;
CollectionCounts counts_at_mark{};

std::uintptr_t links_of(PyObject* object) {
  return reinterpret_cast<std::uintptr_t>(object) - sizeof(Links);
}
PyObject* object_at(std::uintptr_t links) {
  return reinterpret_cast<PyObject*>(links + sizeof(Links));
}
std::uintptr_t next_of(std::uintptr_t links) {
  return reinterpret_cast<const Links*>(links)->next;
}

// A tracked object that nobody else knows.
PyObject* make_tracked() {
  return PyList_New(0);
}

bool any_by_links(const std::function<bool(PyObject*)>& visit) {
  for (std::uintptr_t at = next_of(links_of(marker)); at != list_end; at = next_of(at)) {
    if (visit(object_at(at))) return true;
  }
  return false;
}

bool any_by_collector(const std::function<bool(PyObject*)>& visit) {
  // What lay in the oldest generation when the image was complete is the image's. The run's objects join it
  // there by a collection of the middle generation, or of all.
  const CollectionCounts now = count_collections();
  const CollectionCounts& then = interpreter_state().collections;
  const int generations = now[1] == then[1] && now[2] == then[2] ? 2 : 3;
  for (int generation = 0; generation < generations; ++generation) {
    const PythonRef objects{PyObject_CallFunction(interpreter_state().gc_objects.get(), "i", generation)};
    if (!objects) return true;
    for (Py_ssize_t i = 0; i < PyList_Size(objects.get()); ++i) {
      if (visit(PyList_GetItem(objects.get(), i))) return true;
    }
  }
  return false;
}

}  // namespace

void test_object_list() {
  const CollectionCounts before = count_collections();
  const PythonRef first{make_tracked()};
  const std::uintptr_t end = next_of(links_of(first.get()));
  const PythonRef second{make_tracked()};
  const PythonRef third{make_tracked()};
  layout_is_known = next_of(links_of(first.get())) == links_of(second.get()) &&
                    next_of(links_of(second.get())) == links_of(third.get()) &&
                    next_of(links_of(third.get())) == end && count_collections() == before;
}

void mark_object_list() {
  if (!layout_is_known) return;
  counts_at_mark = count_collections();
  marker = make_tracked();
  list_end = next_of(links_of(marker));
}

bool any_new_object(const std::function<bool(PyObject*)>& visit) {
  if (marker != nullptr && count_collections() == counts_at_mark) return any_by_links(visit);
  return any_by_collector(visit);
}

}  // namespace kiln::image
