// Which arguments and variables a program reads: its sys.argv and os.environ tell.
//
// No system call shows that a list or a dictionary is read. So the two become objects of types that tell, of
// the same layout, in their places, and become plain again: whoever holds them holds the same objects
// throughout.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "common/launch.h"
#include "common/result.h"

namespace kiln::image {

class Recorders {
 public:
  // ON_ARGUMENTS: called before the first look at an argument, however many come; argv[0] is none.
  Result<void> install(std::function<void()> on_arguments);
  // Both are plain again. Needs a PythonAside.
  void remove();
  void remove_from_arguments();

  const std::set<std::string>& variables() const { return variables_; }
  bool has_read_environment() const { return has_read_environment_; }  // all of it

  // Called by the recording types.
  void note_arguments(const std::string& method, bool first_only);
  void note_variable(const std::string& method, const char* name);

 private:
  std::function<void()> on_arguments_;
  bool is_recording_ = false;
  std::set<std::string> variables_;
  bool has_read_environment_ = false;
};

// Gives a program at its stop the arguments of LAUNCH, in the lists that it may already hold.
Result<void> renew_arguments(const Launch& launch);

}  // namespace kiln::image
