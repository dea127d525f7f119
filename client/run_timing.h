// `kiln run --timing`: where the milliseconds of a run went, as seen from its client.
#pragma once

#include <string>

#include "common/unique_fd.h"

namespace kiln {

class RunTiming {
 public:
  // Of a run that begins now. Standard error is kept open, until the end, for what is to be told then.
  explicit RunTiming(bool wanted);

  // What has just been done, in words that follow a time: "to ask the daemon".
  void passed(const char* what);
  // Prints what has passed, with all of it. Once, at the end.
  void tell(const std::string& outcome);

  // Standard error, for who closes all others; -1: it is not wanted.
  int fd() const { return output_.get(); }

 private:
  UniqueFd output_;
  double begin_ms_ = 0;
  double last_ms_ = 0;
  std::string text_;
};

}  // namespace kiln
