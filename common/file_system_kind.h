// Where events can be trusted. A change that is made on another machine, below an overlay or by the process
// behind a FUSE mount makes no inotify event here.
#pragma once

#include <string>

namespace kiln {

struct FileSystemKind {
  bool trusted = false;
  bool remote = false;  // known to be on another machine: locks and shared memory may not work
  bool pseudo = false;  // the kernel's own, which holds no files of anybody's
  std::string name;     // "nfs", "overlay", "unknown (0x12345678)" where it has no name here
};

// By statfs(2) and the numbers of linux/magic.h. Only file systems that are known to be local are trusted.
FileSystemKind file_system_kind(int descriptor);
// The kind of that number in statfs's f_type.
FileSystemKind file_system_kind_of(unsigned long magic);

}  // namespace kiln
