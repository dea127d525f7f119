// The one inotify instance of the daemon (inotify(7)): a user has 128 of them, and all daemons share those.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace kiln {

struct InotifyEvent {
  int watch = -1;  // -1: the queue has overflowed
  std::uint32_t mask = 0;
  std::string_view name;  // in a watched directory; empty: the watched thing itself

  bool operator==(const InotifyEvent&) const = default;
};

// The events that lie in BYTES, whose names point into it. What is cut off at the end is left out.
std::vector<InotifyEvent> decode_events(std::string_view bytes);

// What the kernel grants, and how to raise it.
struct InotifyLimits {
  std::size_t watches = 0;  // fs.inotify.max_user_watches, of all programs of the user; 0: unknown
};
InotifyLimits inotify_limits();
// The command that raises a limit, to twice PRESENT at least.
std::string watch_limit_hint(std::size_t present);

class Inotify {
 public:
  // Without an instance, where the user has none left: see failure().
  Inotify();

  explicit operator bool() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }
  // Why there is no instance.
  const Error& failure() const { return failure_; }

  // Watches what DESCRIPTOR refers to, whatever its path leads to by now: a directory and its entries, or a
  // file. Returns the watch, the same at each call for one inode; -1 and errno: ENOSPC is the user's limit of
  // watches, not a full disk.
  int watch_directory(int descriptor) const;
  int watch_file(int descriptor) const;
  // Something comes into the directory, or it goes away itself. What it is watched for otherwise stays.
  int watch_for_arrivals(int descriptor) const;
  void remove(int watch) const;

  // The bytes that were in the kernel's queue when this was called, for decode_events(); valid until the next
  // call. Does not wait.
  std::string_view read();

 private:
  int watch(int descriptor, std::uint32_t mask) const;

  UniqueFd fd_;
  Error failure_;
  std::vector<char> buffer_;
};

}  // namespace kiln
