// Bytecode files as Kiln left them, or found them to be right by what is in them. Python replaces bytecode by
// renaming a new file over it, after its source has changed. So the same inode with another mtime, and
// another file beside the same source, is what only damage, or a hand, leaves: it may say anything.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "common/file_stamp.h"

namespace kiln {

struct MadeFile {
  std::uint64_t inode = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t source_changed_ns =
      0;                             // ctime of the source when its code was found to be this; 0: not settled
  std::uint64_t source_content = 0;  // content_id() of that source (daemon/digest.h); 0: not known

  bool is(const FileStamp& now) const { return now.inode == inode && now.modified_ns == mtime_ns; }
  bool was_tampered_with(const FileStamp& now, const FileStamp& source) const {
    const bool same_source = source_changed_ns != 0 && source_changed_ns == source.changed_ns;
    return inode != 0 && !is(now) && (now.inode == inode || same_source);
  }
};

using MadeFiles = std::unordered_map<std::string, MadeFile>;  // by path of the bytecode file

}  // namespace kiln
