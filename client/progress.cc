#include "client/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace kiln {
namespace {

constexpr auto kQuietTime = std::chrono::milliseconds(500);
constexpr auto kLineInterval = std::chrono::seconds(5);
constexpr unsigned kDefaultColumns = 80;
constexpr unsigned kMaxBar = 40;

std::string counts(std::uint64_t done, std::uint64_t total) {
  return std::to_string(done) + "/" + std::to_string(total);
}

}  // namespace

void Progress::update(std::uint64_t done, std::uint64_t total, Clock::time_point now) {
  if (total == 0 || now - start_ < kQuietTime) return;
  if (columns_ != 0) {
    write_("\r\x1b[K" + bar(done, total));
    shown_ = true;
  } else if (now - last_line_ >= kLineInterval) {
    write_(label_ + " " + counts(done, total) + "\n");
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

unsigned terminal_columns(int fd) {
  const char* terminal = std::getenv("TERM");
  if (::isatty(fd) == 0 || terminal == nullptr || std::string_view(terminal) == "dumb") return 0;
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kDefaultColumns;
}

}  // namespace kiln
