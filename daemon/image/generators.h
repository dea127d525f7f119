// Generators of random numbers that a known step has seeded. Every run seeds them anew
// (daemon/image/known_step.h), so nothing may come out of one before that, and what the program makes of one
// by itself, as by seed(42), must come after: the first use is a step of its own.
//
// No system call shows it. Their methods are C functions, in tables that the interpreter asks at each call
// (PyMethodDef): there ours take their places, and pass on what they are called with.
#pragma once

#include <string_view>

namespace kiln::image {

struct Generator {
  std::string_view module;  // ATTRIBUTE of this module, once it has it
  const char* attribute;
  const char* type_module;  // of the class that has the methods
  const char* type;
};

// From now on the first use of GENERATOR behind a fence is a step (daemon/image/fence.h). It is just being
// seeded, or was before. False: it cannot be watched, as where its methods are no such functions. Needs a
// PythonAside; none is used meanwhile.
bool watch_generator(const Generator& generator);

// All that are watched are where they will be looked for, to be seeded anew. Needs a PythonAside.
bool are_generators_there();

}  // namespace kiln::image
