#include "client/run_timing.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>

namespace kiln {
namespace {

double now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

std::string line(double ms, const std::string& what) {
  char time[32];
  std::snprintf(time, sizeof time, "kiln: %8.2f ms  ", ms);
  return time + what + "\n";
}

}  // namespace

RunTiming::RunTiming(bool wanted) {
  if (!wanted) return;
  output_.reset(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
  begin_ms_ = last_ms_ = now_ms();
}

void RunTiming::passed(const char* what) {
  if (!output_) return;
  const double now = now_ms();
  text_ += line(now - last_ms_, what);
  last_ms_ = now;
}

void RunTiming::tell(const std::string& outcome) {
  if (!output_) return;
  text_ += line(now_ms() - begin_ms_, "in all: " + outcome);
  (void)!::write(output_.get(), text_.data(), text_.size());
  output_.reset();
}

}  // namespace kiln
