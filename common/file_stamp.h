// What stat(2) says of a file, to see later whether it is still the same.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace kiln {

// All zero: nothing is there, or it cannot be reached.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;  // since the epoch
  std::int64_t changed_ns = 0;

  bool operator==(const FileStamp&) const = default;

  // The mtime as importlib writes it into a header (common/pyc.h).
  std::int64_t python_mtime_s() const;
};

// Whether no later change can have the same ctime: the clock that files get their times from has ticked
// since. To be asked after what was to be known of the file was read; until then the same stamp may be
// another content's.
bool is_settled(const FileStamp& stamp);

// The ctime of a file that changes now, in nanoseconds since the epoch: the clock that the kernel stamps
// files with ticks a hundred times a second or more.
std::int64_t file_time_now_ns();

// Times that nanoseconds in 64 bits cannot say, before 1678 and after 2262, are the nearest that they can.
FileStamp stamp_of(const std::string& path);
FileStamp stamp_of(const struct stat& status);
bool has_exact_times(const struct stat& status);

}  // namespace kiln
