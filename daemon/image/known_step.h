// Steps that programs take while they are imported, that belong to one process or one moment, and that can be
// made up for: the table of known benign steps.
//
// A row names who takes the step, and what a run has to do so that nobody can tell that it was taken before.
// What is not in the table ends a rehearsal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "daemon/image/generators.h"
#include "daemon/image/python_ref.h"
#include "daemon/image/python_stack.h"
#include "daemon/image/thread_pool.h"

namespace kiln::image {

// draw: out of a generator that a row of its own has seeded.
enum class Effect { clock, random, draw, thread, thread_id, process_id, descriptor, any };

struct KnownStep {
  Effect effect{};
  std::string_view module;    // of the innermost frame
  std::string_view function;  // of that frame; empty: any
  std::string_view within;    // module of the function, further out, that this is a part of; its package's
                              // code alone lies in between
  std::string_view reset;     // Python code, with sys, os and time; empty: nothing is to be done
  std::string_view reason;    // why that makes up for it
  std::string_view within_function = "<module>";  // by default the import of that module
  bool (*holds)() = nullptr;                      // whether it is so this time; null: always
  const Generator* seeds = nullptr;               // what it seeds, if a program may use that later
  std::string_view replaces{};                    // the object that every run has another of: an expression
  const ThreadPool* starts = nullptr;             // what every run has to start
  std::string_view holds_own{};  // the dictionary that has it, once the module WITHIN is imported
};

// The row for a step taken at STACK; null: there is none.
const KnownStep* find_known_step(Effect effect, const std::vector<PythonFrame>& stack);

// Modules, as patterns of fnmatch(3), in which every step of the table's effects is taken for known: the user
// has said that it makes no difference.
void trust_modules(std::vector<std::string> patterns);

// The row for the seeding of the module random's own generator, which start-up code may have taken. Null: it
// has not.
const KnownStep* seeded_at_start();

// Whether anybody but its owner holds an object that every run has another of, and would see the old one:
// what REPLACED name, and the main thread's id.
bool is_kept_elsewhere(const std::vector<std::string_view>& replaced);

// What the expression of a row is now; empty if it fails.
PythonRef value_of(const std::string& expression);

// Frames that it looks at.
constexpr std::size_t kKnownStepFrames = 16;

// Runs the resets, in this order. Fails with Reason::setup.
Result<void> make_up_for(const std::vector<std::string>& resets);

}  // namespace kiln::image
