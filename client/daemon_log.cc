#include "client/daemon_log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string_view>
#include <utility>
#include <vector>

#include "client/connection.h"
#include "client/log_line.h"
#include "common/path_error.h"
#include "common/path_text.h"
#include "common/paths.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

constexpr int kMostRotated = 9;  // more than the daemon keeps: daemon/daemon.cc
constexpr std::uint32_t kEvents = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR;

UniqueFd open_to_read(const std::string& path) {
  return UniqueFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
}

// As spdlog names them: kilnd.log, then kilnd.1.log.
std::string rotated(const std::string& path, int number) {
  if (number == 0) return path;
  const std::string stem = path.substr(0, path.rfind('.'));
  return stem + "." + std::to_string(number) + path.substr(stem.size());
}

bool is_same_file(int fd, const std::string& path) {
  struct stat one {};
  struct stat other {};
  return ::fstat(fd, &one) == 0 && ::stat(path.c_str(), &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

// Those that are there, the oldest first. They are opened from the newest on, for a rotation makes each an
// older one: none can be missed, but one be met again.
std::vector<UniqueFd> open_all(const std::string& path) {
  std::vector<UniqueFd> files;
  for (int number = 0; number <= kMostRotated; ++number) {
    const std::string name = rotated(path, number);
    if (!files.empty() && is_same_file(files.back().get(), name)) continue;
    if (UniqueFd file = open_to_read(name)) files.push_back(std::move(file));
  }
  std::ranges::reverse(files);
  return files;
}

// What FILE was followed by: the file that was begun when it was renamed, under its present name. Not there:
// the files are just between two names.
UniqueFd open_successor(int file, const std::string& path) {
  for (int number = 1; number <= kMostRotated; ++number) {
    if (!is_same_file(file, rotated(path, number))) continue;
    UniqueFd next = open_to_read(rotated(path, number - 1));
    // Else they were renamed meanwhile, and there will be an event.
    return is_same_file(file, rotated(path, number)) ? std::move(next) : UniqueFd{};
  }
  auto files = open_all(path);  // it is gone, and what is left begins after it
  return files.empty() ? UniqueFd{} : std::move(files.front());
}

// From its position to its end.
std::string read_rest(int fd) {
  std::string text;
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
}

std::string_view last_lines(std::string_view text, std::size_t lines) {
  if (lines == 0) return {};
  std::size_t begin = text.ends_with('\n') ? text.size() - 1 : text.size();
  for (; lines > 0 && begin > 0; --lines) {
    begin = text.rfind('\n', begin - 1);
    if (begin == std::string_view::npos) return text;
  }
  return lines > 0 ? text : text.substr(begin + 1);
}

// Prints what is added to a log: as it is, or as an object for each line that has come to its end.
class LogPrinter {
 public:
  explicit LogPrinter(bool as_json) : as_json_(as_json) {}

  void print(std::string_view text) {
    if (!as_json_) {
      write(text);
      return;
    }
    rest_ += text;
    std::string objects;
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      objects += log_line_json(std::string_view(rest_).substr(begin, end - begin)) + "\n";
    }
    rest_.erase(0, begin);
    write(objects);
  }

 private:
  static void write(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

  bool as_json_;
  std::string rest_;  // of a line that has not ended
};

// Why there is nothing of the log at PATH to be printed.
Error no_log(const std::string& path) {
  if (const auto directory = find_private_dir(std::string(directory_of(path)), "KILN_CACHE_DIR"); !directory)
    return directory.error();
  if (::access(path.c_str(), R_OK) != 0 && errno == EACCES) {
    Error error = errno_error("cannot open " + path);
    error.hint = permission_hint(path, "rw");
    return error;
  }
  return {Reason::not_found, "there is no log at " + path,
          Connection::open_living() ? "kiln daemon restart" : "kiln daemon start"};
}

// Returns the newest file, whose rest is still to come.
Result<UniqueFd> print_all(const std::string& path, std::optional<std::size_t> lines, LogPrinter& printer) {
  auto files = open_all(path);
  if (files.empty()) return no_log(path);
  std::string text;
  for (const auto& file : files) text += read_rest(file.get());
  printer.print(lines ? last_lines(text, *lines) : std::string_view(text));
  return std::move(files.back());
}

// False: nobody reads what is printed any more.
bool await_event(int events) {
  pollfd fds[2] = {{events, POLLIN, 0}, {STDOUT_FILENO, 0, 0}};
  while (::poll(fds, 2, -1) < 0) {
  }
  if ((fds[1].revents & POLLERR) != 0) return false;
  std::array<char, 4096> buffer;
  while (::read(events, buffer.data(), buffer.size()) > 0) {  // which event it was does not matter
  }
  return true;
}

// A file that was renamed has nothing added to it any more.
void catch_up(UniqueFd& file, const std::string& path, LogPrinter& printer) {
  while (true) {
    const bool is_newest = is_same_file(file.get(), path);
    printer.print(read_rest(file.get()));
    if (is_newest) return;
    UniqueFd next = open_successor(file.get(), path);
    if (!next) return;
    file = std::move(next);
  }
}

}  // namespace

DaemonLog::DaemonLog(const std::string& cache_dir, bool as_json)
    : directory_(cache_dir), path_(log_path(cache_dir)), as_json_(as_json) {}

Result<void> DaemonLog::print(std::optional<std::size_t> lines) const {
  LogPrinter printer(as_json_);
  TRY(print_all(path_, lines, printer));
  return {};
}

Result<void> DaemonLog::follow(std::optional<std::size_t> lines) const {
  std::signal(SIGPIPE, SIG_DFL);  // as tail(1) ends
  const UniqueFd events{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
  if (!events) return errno_error("cannot follow the log");
  // Before anything is read, so that nothing is added unseen in between.
  const int watch = ::inotify_add_watch(events.get(), directory_.c_str(), kEvents);
  if (watch < 0 && (errno == EACCES || errno == ENOTDIR)) return no_log(path_);
  if (watch < 0 && errno != ENOENT) return path_error("cannot follow", path_);
  LogPrinter printer(as_json_);
  UniqueFd file = TRY(print_all(path_, lines, printer));
  catch_up(file, path_, printer);
  while (await_event(events.get())) catch_up(file, path_, printer);
  return {};
}

}  // namespace kiln
