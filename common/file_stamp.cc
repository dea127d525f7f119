#include "common/file_stamp.h"

#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <limits>

#include "common/pyc.h"

namespace kiln {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

constexpr std::int64_t kMostSeconds = std::numeric_limits<std::int64_t>::max() / kSecond - 1;

bool is_exact(const timespec& time) {
  return time.tv_sec >= -kMostSeconds && time.tv_sec <= kMostSeconds;
}

std::int64_t nanoseconds(const timespec& time) {
  return std::clamp(std::int64_t{time.tv_sec}, -kMostSeconds, kMostSeconds) * kSecond + time.tv_nsec;
}

}  // namespace

std::int64_t FileStamp::python_mtime_s() const {
  return kiln::python_mtime_s(modified_ns);
}

std::int64_t file_time_now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);  // current_time() of the kernel's fs/inode.c
  return nanoseconds(now);
}

bool is_settled(const FileStamp& stamp) {
  return stamp.changed_ns < file_time_now_ns();
}

FileStamp stamp_of(const struct stat& status) {
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

bool has_exact_times(const struct stat& status) {
  return is_exact(status.st_mtim) && is_exact(status.st_ctim);
}

FileStamp stamp_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? stamp_of(status) : FileStamp{};
}

}  // namespace kiln
