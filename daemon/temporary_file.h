// A file that gets its name only once it is whole, and is removed unless it got it. A kill leaves it behind
// under its temporary name.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "common/file_stamp.h"
#include "common/unique_fd.h"

namespace kiln {

// The names of temporary files begin so. One that is older than an hour was left by a kill.
constexpr std::string_view kTemporaryPrefix = ".kiln-";

// Every function returns 0 or errno.
class TemporaryFile {
 public:
  TemporaryFile() = default;
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  // In the directory of DESTINATION, which must exist, with MODE less the process's umask.
  int create(const std::string& destination, mode_t mode);
  int set_mode(mode_t mode);
  // FIRST, then SECOND: all of both, or it is an error.
  int write(std::string_view first, std::string_view second = {});
  int stamp(FileStamp& stamp) const;
  // Replaces what is there. Nothing else has ever been under PATH but a whole file.
  int rename_to(const std::string& path);

 private:
  UniqueFd fd_;
  std::string path_;
};

}  // namespace kiln
