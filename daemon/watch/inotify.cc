#include "daemon/watch/inotify.h"

#include <sys/inotify.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>

namespace kiln {
namespace {

constexpr const char* kWatchLimit = "/proc/sys/fs/inotify/max_user_watches";
constexpr std::size_t kComfortable = 524'288;

// Never OPEN, ACCESS or CLOSE_NOWRITE: our own looking would fill the queue. CLOSE_WRITE is what is heard of
// stores through a mapping, at the earliest.
constexpr std::uint32_t kFileMask = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr std::uint32_t kDirectoryMask =
    kFileMask | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_EXCL_UNLINK;

Error no_instance() {
  if (errno == EMFILE) {
    return {Reason::system, "cannot watch: all inotify instances of this user are taken",
            "sudo sysctl fs.inotify.max_user_instances=1024"};
  }
  Error refused = errno_error("cannot watch, for the kernel refuses inotify here");
  refused.hint = "kiln doctor";
  return refused;
}

}  // namespace

std::vector<InotifyEvent> decode_events(std::string_view bytes) {
  std::vector<InotifyEvent> events;
  inotify_event header{};
  while (bytes.size() >= sizeof header) {
    std::memcpy(&header, bytes.data(), sizeof header);
    bytes.remove_prefix(sizeof header);
    if (header.len > bytes.size()) break;
    // The name is padded with null bytes.
    const std::string_view padded = bytes.substr(0, header.len);
    events.push_back({header.wd, header.mask, padded.substr(0, padded.find('\0'))});
    bytes.remove_prefix(header.len);
  }
  return events;
}

InotifyLimits inotify_limits() {
  InotifyLimits limits;
  std::ifstream(kWatchLimit) >> limits.watches;
  return limits;
}

std::string watch_limit_hint(std::size_t present) {
  return "sudo sysctl fs.inotify.max_user_watches=" + std::to_string(std::max(kComfortable, 2 * present));
}

Inotify::Inotify() : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (!fd_) failure_ = no_instance();
}

int Inotify::watch(int descriptor, std::uint32_t mask) const {
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  return ::inotify_add_watch(fd_.get(), link.c_str(), mask);
}

int Inotify::watch_directory(int descriptor) const {
  return watch(descriptor, kDirectoryMask);
}

int Inotify::watch_file(int descriptor) const {
  return watch(descriptor, kFileMask);
}

int Inotify::watch_for_arrivals(int descriptor) const {
  return watch(descriptor, IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_MASK_ADD);
}

void Inotify::remove(int watch) const {
  ::inotify_rm_watch(fd_.get(), watch);  // fails where the kernel was first
}

std::string_view Inotify::read() {
  int waiting = 0;
  if (!fd_ || ::ioctl(fd_.get(), FIONREAD, &waiting) != 0 || waiting <= 0) return {};
  // One more event than that may not fit, and stays in the queue: whoever writes all the time cannot keep us.
  constexpr std::size_t kLargest = sizeof(inotify_event) + NAME_MAX + 1;
  buffer_.resize(std::max(static_cast<std::size_t>(waiting), kLargest));
  std::size_t filled = 0;
  while (filled < static_cast<std::size_t>(waiting)) {
    const ssize_t count = ::read(fd_.get(), buffer_.data() + filled, buffer_.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    filled += static_cast<std::size_t>(count);
  }
  return {buffer_.data(), filled};
}

}  // namespace kiln
