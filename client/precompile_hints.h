// What helps where files could not be read or written: one hint for each kind of trouble, however many files
// are in it.
#pragma once

#include <string>
#include <vector>

#include "proto/kiln.pb.h"

namespace kiln {

class PrecompileHints {
 public:
  // ERROR: of one file. What Python's compiler says needs no hint.
  void add(const proto::PrecompileEvent::Error& error);
  // "\nhint: COMMAND\n", with a line for each kind of trouble, of the first file in it; empty: there was
  // none.
  std::string text() const;

 private:
  struct Hint {
    int trouble;  // an errno
    std::string command;
  };
  std::vector<Hint> hints_;
};

}  // namespace kiln
