// Which arguments and variables a program looks at: its sys.argv and os.environ tell.
//
// No system call shows that a list or a dictionary is read. So sys.argv becomes a list that faults
// (guarded_list.h), and the dictionary behind os.environ an object of a type that tells, of the same layout,
// in its place; both become plain again: whoever holds them holds the same objects throughout.
#pragma once

#include <Python.h>

#include <set>
#include <string>

#include "common/launch.h"
#include "common/result.h"

namespace kiln::image {

// One at a time.
class Recorders {
 public:
  Result<void> install();
  // From now on the first look at DICT, which is plain, is a step: what it holds is each process's own. Needs a
  // PythonAside. False: there is one already.
  bool tell_of(PyObject* dict);
  // All are plain again. Needs a PythonAside.
  void remove();

  const std::set<std::string>& variables() const { return variables_; }
  bool has_read_environment() const { return has_read_environment_; }  // all of it

  // Called by the type that tells: its method METHOD, for the variable NAME; null: for none, or all.
  void note_variable(const std::string& method, const char* name);

 private:
  bool is_recording_ = false;
  std::set<std::string> variables_;
  bool has_read_environment_ = false;
};

// For who hears of the fault at ADDRESS.
enum class ArgumentsFault {
  none,       // it has nothing to do with the arguments
  look,       // at an argument, the first
  collector,  // it sees all that there is, and learns nothing
};
ArgumentsFault arguments_fault(const void* address);
// Whether looks at the arguments fault, for the moment.
void guard_arguments(bool guarded);
// They are plain lists from now on.
void free_arguments();
// What the program has of them by now, and may have changed, stays: they are not renewed.
void keep_arguments();

// Gives a program at its stop the arguments of LAUNCH, in the lists that it may already hold.
Result<void> renew_arguments(const Launch& launch);

}  // namespace kiln::image
