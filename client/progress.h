// How far a long piece of work has come, on standard error: a bar on a terminal, now and then a plain line
// elsewhere, nothing for what takes less than half a second. No colours: there is nothing for NO_COLOR to
// turn off.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace kiln {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  // LABEL says what is being done: "compiling". COLUMNS is the terminal's width, 0 for no terminal. What is
  // to be shown goes to WRITE.
  Progress(std::string label, unsigned columns, Clock::time_point start,
           std::function<void(std::string_view)> write)
      : label_(std::move(label)),
        columns_(columns),
        start_(start),
        last_line_(start),
        write_(std::move(write)) {}

  // The same, on standard error, from now on.
  explicit Progress(std::string label);

  void update(std::uint64_t done, std::uint64_t total, Clock::time_point now);

  // For work of which nobody knows how much there is: it goes on. SO_FAR says what was done, if that is
  // known: "12 directories".
  void go_on(const std::string& so_far, Clock::time_point now);

  // Takes the bar away, so that other text can be written; the next update brings it back.
  void clear();

 private:
  std::string bar(std::uint64_t done, std::uint64_t total) const;
  std::string moving_bar(const std::string& so_far, std::chrono::milliseconds elapsed) const;
  void show(const std::string& bar, const std::string& line, Clock::time_point now);

  std::string label_;
  unsigned columns_;
  Clock::time_point start_;
  Clock::time_point last_line_;
  std::function<void(std::string_view)> write_;
  bool shown_ = false;
};

}  // namespace kiln
