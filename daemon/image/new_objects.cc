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

// struct gc_generation: the head of a generation's list, and two ints. They lie one after the other.
constexpr std::uintptr_t kGenerationSize = sizeof(Links) + 2 * sizeof(int);

bool layout_is_known = false;
PyObject* marker = nullptr;   // kept for good
std::uintptr_t youngest = 0;  // head of the list
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
  for (std::uintptr_t at = next_of(links_of(marker)); at != youngest; at = next_of(at)) {
    if (visit(object_at(at))) return true;
  }
  return false;
}

bool is_marker_within(std::uintptr_t head) {
  for (std::uintptr_t at = next_of(head); at != head; at = next_of(at)) {
    if (at == links_of(marker)) return true;
  }
  return false;
}

// A list, as far as its head tells.
bool is_head(std::uintptr_t head) {
  const std::uintptr_t last = reinterpret_cast<const Links*>(head)->previous;
  return last != 0 && last % alignof(Links) == 0 && next_of(last) == head;
}

// What lay in the oldest generation when the image was complete is the image's. The run's objects join it
// there by a collection of the middle generation, or of all; and by gc.unfreeze(), of which only the marker's
// place tells.
bool is_none_in_oldest() {
  const CollectionCounts now = count_collections();
  const CollectionCounts& then = interpreter_state().collections;
  if (marker == nullptr || now[1] != then[1] || now[2] != then[2]) return false;
  return is_marker_within(youngest) || is_marker_within(youngest + kGenerationSize);
}

bool any_by_collector(const std::function<bool(PyObject*)>& visit) {
  const int generations = is_none_in_oldest() ? 2 : 3;
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
                    next_of(links_of(third.get())) == end && count_collections() == before && is_head(end) &&
                    is_head(end + kGenerationSize);
}

void mark_object_list() {
  if (!layout_is_known) return;
  counts_at_mark = count_collections();
  marker = make_tracked();
  youngest = next_of(links_of(marker));
}

bool any_new_object(const std::function<bool(PyObject*)>& visit) {
  const bool is_as_marked = marker != nullptr && count_collections() == counts_at_mark;
  return is_as_marked && is_marker_within(youngest) ? any_by_links(visit) : any_by_collector(visit);
}

}  // namespace kiln::image
