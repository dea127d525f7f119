#include "client/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "common/screen.h"

namespace kiln {
namespace {

using std::chrono::milliseconds;

constexpr auto kQuietTime = milliseconds(500);
constexpr auto kLineInterval = std::chrono::seconds(5);
constexpr auto kStep = milliseconds(100);  // of a bar that moves
constexpr unsigned kMaxBar = 40;
constexpr unsigned kMaxMovingBar = 20;
constexpr unsigned kMoving = 3;  // columns of it that are filled

std::string counts(std::uint64_t done, std::uint64_t total) {
  return std::to_string(done) + "/" + std::to_string(total);
}

void write_to_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

Progress::Progress(std::string label)
    : Progress(std::move(label), terminal_columns(STDERR_FILENO), Clock::now(), write_to_stderr) {}

void Progress::update(std::uint64_t done, std::uint64_t total, Clock::time_point now) {
  if (total == 0 || now - start_ < kQuietTime) return;
  show(columns_ != 0 ? bar(done, total) : "", label_ + " " + counts(done, total), now);
}

void Progress::go_on(const std::string& so_far, Clock::time_point now) {
  if (now - start_ < kQuietTime) return;
  const auto elapsed = std::chrono::duration_cast<milliseconds>(now - start_);
  const std::string seconds = std::to_string(elapsed.count() / 1000) + " s";
  const std::string text = so_far.empty() ? seconds : so_far + ", " + seconds;
  show(columns_ != 0 ? moving_bar(text, elapsed) : "", label_ + " " + text, now);
}

void Progress::show(const std::string& bar, const std::string& line, Clock::time_point now) {
  if (columns_ != 0) {
    write_("\r\x1b[K" + bar);
    shown_ = true;
  } else if (now - last_line_ >= kLineInterval) {
    write_(line + "\n");
    last_line_ = now;
  }
}

void Progress::clear() {
  if (shown_) write_("\r\x1b[K");
  shown_ = false;
}

// "compiling [#####.....] 50/100", never as wide as the terminal: a wrapped line could not be taken back.
std::string Progress::bar(std::uint64_t done, std::uint64_t total) const {
  const auto numbers = counts(done, total);
  const auto taken = static_cast<unsigned>(label_.size() + numbers.size()) + 5;
  if (taken + 5 > columns_) return numbers.substr(0, columns_ > 0 ? columns_ - 1 : 0);
  const auto width = std::min(kMaxBar, columns_ - taken);
  const auto filled = static_cast<unsigned>(std::min(done, total) * width / total);
  return label_ + " [" + std::string(filled, '#') + std::string(width - filled, '.') + "] " + numbers;
}

// "watching [..###.....] 12 directories, 3 s"
std::string Progress::moving_bar(const std::string& so_far, milliseconds elapsed) const {
  const auto taken = static_cast<unsigned>(label_.size() + so_far.size()) + 5;
  if (taken + 2 * kMoving > columns_) return so_far.substr(0, columns_ > 0 ? columns_ - 1 : 0);
  const auto width = std::min(kMaxMovingBar, columns_ - taken);
  const auto at = static_cast<unsigned>(elapsed / kStep) % (width - kMoving + 1);
  const std::string filled = std::string(at, '.') + std::string(kMoving, '#');
  return label_ + " [" + filled + std::string(width - filled.size(), '.') + "] " + so_far;
}

}  // namespace kiln
