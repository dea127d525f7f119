#include "common/file_system_kind.h"

#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace kiln {
namespace {

struct Row {
  unsigned long magic;
  const char* name;
  bool trusted;
  bool remote = false;
};

// Numbers from linux/magic.h, and from the sources of those that are not in it. vfat and exfat are local, but
// have two names for one file, one of which events do not use.
constexpr std::array<Row, 24> kRows{{
    {0xEF53, "ext4", true},           {0x58465342, "xfs", true},       {0x9123683E, "btrfs", true},
    {0xF2F52010, "f2fs", true},       {0x01021994, "tmpfs", true},     {0x858458F6, "ramfs", true},
    {0x2FC12FC1, "zfs", true},        {0xCA451A4E, "bcachefs", true},  {0x3153464A, "jfs", true},
    {0x3434, "nilfs", true},          {0x73717368, "squashfs", true},  {0xE0F5E1E2, "erofs", true},
    {0x9660, "iso9660", true},        {0x6969, "nfs", false, true},    {0xFF534D42, "cifs", false, true},
    {0xFE534D42, "smb", false, true}, {0x01021997, "9p", false, true}, {0x00C36400, "ceph", false, true},
    {0x5346414F, "afs", false, true}, {0x794C7630, "overlay", false},  {0x65735546, "fuse", false},
    {0x4D44, "vfat", false},          {0x2011BAB0, "exfat", false},    {0xF15F, "ecryptfs", false},
}};

}  // namespace

FileSystemKind file_system_kind_of(unsigned long magic) {
  const auto* row = std::ranges::find(kRows, magic, &Row::magic);
  if (row != kRows.end()) return {row->trusted, row->remote, row->name};
  char number[2 + 2 * sizeof magic + 1];
  std::snprintf(number, sizeof number, "%#lx", magic);
  return {.name = number};
}

FileSystemKind file_system_kind(int descriptor) {
  struct statfs status {};
  if (::fstatfs(descriptor, &status) != 0) return {.name = "unknown"};
  // f_type is signed, and 32 bits of it count.
  return file_system_kind_of(static_cast<unsigned long>(status.f_type) & 0xFFFFFFFFUL);
}

}  // namespace kiln
