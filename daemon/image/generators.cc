#include "daemon/image/generators.h"

#include <Python.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "daemon/image/descriptor_layout.h"
#include "daemon/image/fence.h"
#include "daemon/image/known_step.h"
#include "daemon/image/look.h"
#include "daemon/image/python_aside.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {
namespace {

using Method = NativeMethod;

constexpr std::size_t kMost = 160;  // RandomState of numpy has some 60
std::array<Method, kMost> originals{};
std::size_t replaced = 0;
struct Watched {
  Generator generator;
  const void* object = nullptr;  // null: not known, as of numpy's
};
std::vector<Watched>& watched() {
  static auto* generators = new std::vector<Watched>;
  return *generators;
}

PyObject* module_of(const Generator& generator) {
  return PyDict_GetItemString(PyImport_GetModuleDict(), std::string(generator.module).c_str());
}

// Null: its module is not there, or does not have it yet.
PyObject* find(const Generator& generator) {
  PyObject* module = module_of(generator);
  PyObject* dict = module != nullptr && PyModule_Check(module) != 0 ? PyModule_GetDict(module) : nullptr;
  return dict != nullptr ? PyDict_GetItemString(dict, generator.attribute) : nullptr;
}

// Where its module was taken out, nobody knows which it is.
bool is_watched(const void* self) {
  return std::ranges::any_of(watched(), [&](const Watched& one) {
    return one.object == self || find(one.generator) == self || module_of(one.generator) == nullptr;
  });
}

bool is_known_use() {
  const PythonAside aside;
  return find_known_step(Effect::draw, python_stack(kKnownStepFrames)) != nullptr;
}

void look_at_use(const void* self) {
  if (is_fenced() && is_watched(self) && !is_known_use())
    stop_at_fence("uses its generator of random numbers");
}

template <std::size_t Index>
void* method(void* self, void* b, void* c, void* d, void* e, void* f) {
  look_at_use(self);
  return originals[Index](self, b, c, d, e, f);
}

template <std::size_t... Index>
constexpr std::array<Method, sizeof...(Index)> methods(std::index_sequence<Index...>) {
  return {method<Index>...};
}
constexpr auto kMethods = methods(std::make_index_sequence<kMost>());

std::string kind_of(PyObject* object) {
  return text_of(attribute(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__name__").get());
}

bool replace(PyMethodDef& definition) {
  const auto original = reinterpret_cast<Method>(reinterpret_cast<void*>(definition.ml_meth));
  if (std::ranges::find(kMethods, original) != kMethods.end()) return true;  // it is ours already
  if (replaced == kMost) return false;
  originals[replaced] = original;
  definition.ml_meth = reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(kMethods[replaced]));
  ++replaced;
  return true;
}

// How many of its methods are watched now.
std::size_t replace_methods(PyObject* type) {
  const PythonRef dict = attribute(type, "__dict__");
  const PythonRef values{dict ? PyMapping_Values(dict.get()) : nullptr};
  PyErr_Clear();
  std::size_t count = 0;
  for (Py_ssize_t i = 0; values && i < PyList_Size(values.get()); ++i) {
    PyObject* value = PyList_GetItem(values.get(), i);
    const std::string kind = kind_of(value);
    if (kind.find("cython_function") != std::string::npos || kind == "function")
      return 0;  // called in other ways
    if (kind != "method_descriptor") continue;
    if (!replace(*reinterpret_cast<MethodDescriptor*>(value)->method)) return 0;
    ++count;
  }
  return count;
}

}  // namespace

bool watch_generator(const Generator& generator) {
  // Python's own generators are seeded by a method in Python; of one that was before, its module tells.
  const auto stack = python_stack(1);
  const bool is_seeding = !stack.empty() && stack[0].module == "random" && stack[0].function == "seed";
  const PythonRef seeded = is_seeding ? self_of("seed") : PythonRef{};
  const void* object = seeded ? seeded.get() : find(generator);
  const auto known = std::ranges::find_if(watched(), [&](const Watched& one) {
    return one.generator.module == generator.module &&
           std::strcmp(one.generator.attribute, generator.attribute) == 0;
  });
  if (known != watched().end()) {
    if (known->object == nullptr) known->object = object;
    return true;
  }
  PyObject* module = PyDict_GetItemString(PyImport_GetModuleDict(), generator.type_module);
  const PythonRef type = attribute(module, generator.type);
  if (!type || replace_methods(type.get()) == 0) return false;
  watched().push_back({generator, object});
  return true;
}

bool are_generators_there() {
  return std::ranges::all_of(watched(), [](const Watched& one) {
    const void* there = find(one.generator);
    return there != nullptr && (one.object == nullptr || one.object == there);
  });
}

}  // namespace kiln::image
