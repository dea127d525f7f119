// What a stat says about a file's contents without reading them: while it stays the same, so, most likely, do
// they.
#pragma once

#include <sys/stat.h>

#include <cstdint>

namespace kiln {

struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t size = 0;  // bytes

  bool operator==(const FileStamp&) const = default;

  // The mtime as importlib writes it into a header: int(st_mtime), and st_mtime is a float, which at today's
  // dates rounds the last 0.1 microseconds of a second up to the next one.
  std::int64_t python_mtime_s() const {
    constexpr std::int64_t kSecond = 1'000'000'000;
    std::int64_t seconds = mtime_ns / kSecond;
    std::int64_t rest = mtime_ns % kSecond;
    if (rest < 0) {
      rest += kSecond;
      --seconds;
    }
    return static_cast<std::int64_t>(static_cast<double>(seconds) + 1e-9 * static_cast<double>(rest));
  }
};

inline FileStamp stamp_of(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec,
          static_cast<std::uint64_t>(status.st_size)};
}

}  // namespace kiln
