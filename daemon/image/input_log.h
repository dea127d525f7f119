// What a program that is run ahead has looked at.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "common/rehearsal.h"

namespace kiln::image {

class InputLog {
 public:
  // PATH as the program gave it, below DIRFD (AT_FDCWD: the working directory). Looked at after the program
  // did.
  void add(ProgramInput::Kind kind, int dirfd, const std::string& path);
  // The directory behind FD, which the program has read.
  void add_names(int fd, bool importable);

  const std::vector<ProgramInput>& inputs() const { return inputs_; }
  // A relative path was looked at, or the directory was asked for.
  bool has_read_cwd() const { return has_read_cwd_; }
  void note_cwd() { has_read_cwd_ = true; }
  // Shared libraries that may have read variables of their own accord.
  bool has_foreign_library() const { return has_foreign_library_; }

 private:
  void add(ProgramInput input);

  std::vector<ProgramInput> inputs_;
  std::set<std::pair<ProgramInput::Kind, std::string>> known_;
  bool has_read_cwd_ = false;
  bool has_foreign_library_ = false;
};

}  // namespace kiln::image
