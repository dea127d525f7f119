// What is mounted where: a mount on top of a watched directory hides it, and makes no inotify event.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/unique_fd.h"

namespace kiln {

// The mount points in the text of /proc/self/mountinfo, each behind the number of its mount:
// "36 /mnt/a b", with \040 and the like decoded (proc(5)).
std::multiset<std::string> parse_mounts(std::string_view mountinfo);

class MountTable {
 public:
  MountTable();

  // Mount points at which something was mounted or unmounted since the last call. Costs one poll(2) where
  // nothing was: the kernel counts changes of the table for each open descriptor (proc(5), mountinfo).
  std::vector<std::string> take_changes();

 private:
  std::multiset<std::string> read();

  UniqueFd fd_;
  std::multiset<std::string> mounts_;
};

}  // namespace kiln
