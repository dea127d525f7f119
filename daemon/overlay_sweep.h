// One pass over the overlay's directory (common/overlay.h): counts its files, removes what a kill left half
// written, and on request orphans or the longest unused files. Others may read and write meanwhile.
//
// The time of a file's last use is its atime, which Linux moves once a day at most (relatime, mount(8)) and
// where it is mounted noatime never: then the file that was written first goes first. Rejected: moving the
// mtime at each use, as the store does. The reader is the program's own process, which may be forbidden to.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "common/result.h"

namespace kiln {

struct OverlayUsage {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;  // disk_bytes (daemon/store_object.h) of each
  std::uint64_t removed_files = 0;
  std::uint64_t removed_bytes = 0;  // what a kill left is among them
};

class OverlaySweep {
 public:
  explicit OverlaySweep(std::string directory) : directory_(std::move(directory)) {}

  // A directory that is not there holds nothing. Files that are none of the overlay's are neither counted nor
  // touched.
  Result<void> scan(const std::stop_token& stop);

  // What has lost its source, if that was at or below one of SOURCES, absolute; none: wherever.
  std::vector<std::string> orphans(const std::vector<std::string>& sources, const std::stop_token& stop) const;
  // Removes it.
  void remove_orphans(const std::vector<std::string>& sources, const std::stop_token& stop);

  // If the files take more than LIMIT bytes, removes the longest unused ones until they take 90 % of it at
  // most; with a LIMIT of 0, all.
  void shrink(std::uint64_t limit, const std::stop_token& stop);

  const OverlayUsage& usage() const { return usage_; }
  // Bytecode that was removed, by path.
  const std::vector<std::string>& removed() const { return removed_; }

 private:
  struct File {
    std::int64_t used_ns = 0;  // since the epoch
    std::uint64_t bytes = 0;
    std::string path;
    bool gone = false;
  };

  void look_at(const std::string& path);
  bool is_orphan(const File& file, const std::vector<std::string>& sources) const;
  void remove(File& file);

  std::string directory_;
  std::vector<File> files_;
  std::vector<std::string> removed_;
  OverlayUsage usage_;
};

}  // namespace kiln
