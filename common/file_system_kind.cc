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
  bool pseudo = false;
};

// Numbers from linux/magic.h, and from the sources of those that are not in it. vfat and exfat are local, but
// have two names for one file, one of which events do not use.
constexpr std::array<Row, 48> kRows{{
    {0xEF53, "ext4", true},
    {0x58465342, "xfs", true},
    {0x9123683E, "btrfs", true},
    {0xF2F52010, "f2fs", true},
    {0x01021994, "tmpfs", true},
    {0x858458F6, "ramfs", true},
    {0x2FC12FC1, "zfs", true},
    {0xCA451A4E, "bcachefs", true},
    {0x3153464A, "jfs", true},
    {0x3434, "nilfs", true},
    {0x73717368, "squashfs", true},
    {0xE0F5E1E2, "erofs", true},
    {0x9660, "iso9660", true},
    {0x6969, "nfs", false, true},
    {0xFF534D42, "cifs", false, true},
    {0xFE534D42, "smb", false, true},
    {0x01021997, "9p", false, true},
    {0x00C36400, "ceph", false, true},
    {0x5346414F, "afs", false, true},
    {0x794C7630, "overlay", false},
    {0x65735546, "fuse", false},
    {0x4D44, "vfat", false},
    {0x2011BAB0, "exfat", false},
    {0xF15F, "ecryptfs", false},
    {0x5346544E, "ntfs", false},
    {0x7366746E, "ntfs3", false},
    {0x15013346, "udf", false},
    {0x4244, "hfs", false},
    {0x482B, "hfs+", false},
    {0x52654973, "reiserfs", false},
    {0x137F, "minix", false},
    {0x28CD3D45, "cramfs", false},
    {0x7275, "romfs", false},
    {0x72B6, "jffs2", false},
    {0x24051905, "ubifs", false},
    {0x786F4256, "vboxsf", false, true},
    {0x47504653, "gpfs", false, true},
    {0x0BD00BD0, "lustre", false, true},
    {0x9FA0, "proc", false, false, true},
    {0x62656572, "sysfs", false, false, true},
    {0x27E0EB, "cgroup", false, false, true},
    {0x63677270, "cgroup2", false, false, true},
    {0x1CD1, "devpts", false, false, true},
    {0x64626720, "debugfs", false, false, true},
    {0x74726163, "tracefs", false, false, true},
    {0x73636673, "securityfs", false, false, true},
    {0x62656570, "configfs", false, false, true},
    {0xCAFE4A11, "bpf", false, false, true},
}};

}  // namespace

FileSystemKind file_system_kind_of(unsigned long magic) {
  const auto* row = std::ranges::find(kRows, magic, &Row::magic);
  if (row != kRows.end()) return {row->trusted, row->remote, row->pseudo, row->name};
  char number[sizeof "unknown (0x)" + 2 * sizeof magic];
  std::snprintf(number, sizeof number, "unknown (%#lx)", magic);
  return {.name = number};
}

FileSystemKind file_system_kind(int descriptor) {
  struct statfs status {};
  if (::fstatfs(descriptor, &status) != 0) return {.name = "unknown"};
  // f_type is signed, and 32 bits of it count.
  return file_system_kind_of(static_cast<unsigned long>(status.f_type) & 0xFFFFFFFFUL);
}

}  // namespace kiln
