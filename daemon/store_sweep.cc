#include "daemon/store_sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <iterator>
#include <memory>
#include <random>

#include "common/file_stamp.h"
#include "common/path_error.h"
#include "daemon/temporary_file.h"

namespace kiln {
namespace {

constexpr std::time_t kTemporaryStays_s = 3600;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

bool is_shard(std::string_view name) {
  return name.size() == 2 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_left_over(std::string_view name, const struct stat& status) {
  return name.starts_with(kTemporaryPrefix) && status.st_mtim.tv_sec < std::time(nullptr) - kTemporaryStays_s;
}

}  // namespace

Result<void> StoreSweep::scan(const std::stop_token& stop) {
  const Directory directory(::opendir(directory_.c_str()));
  if (!directory && errno == ENOENT) return {};
  if (!directory) return path_error("cannot read", directory_);
  while (const dirent* entry = ::readdir(directory.get())) {
    if (stop.stop_requested()) break;
    if (is_shard(entry->d_name)) TRY_VOID(scan_shard(entry->d_name));
  }
  return {};
}

Result<void> StoreSweep::scan_shard(const std::string& shard) {
  const std::string path = directory_ + "/" + shard;
  const Directory directory(::opendir(path.c_str()));
  if (!directory && (errno == ENOENT || errno == ENOTDIR)) return {};
  if (!directory) return path_error("cannot read", path);
  while (const dirent* entry = ::readdir(directory.get())) {
    look_at(::dirfd(directory.get()), shard, entry->d_name);
  }
  return {};
}

void StoreSweep::look_at(int shard_fd, const std::string& shard, const char* name) {
  struct stat status {};
  if (::fstatat(shard_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) return;
  const std::uint64_t bytes = disk_bytes(static_cast<std::uint64_t>(status.st_size));
  if (const auto digest = digest_from_hex(shard + name)) {
    objects_.push_back({stamp_of(status).modified_ns, bytes, *digest});
    ++usage_.objects;
    usage_.bytes += bytes;
  } else if (is_left_over(name, status) && ::unlinkat(shard_fd, name, 0) == 0) {
    usage_.removed_bytes += bytes;
  }
}

// False: it is still there.
bool StoreSweep::remove(const Object& object) {
  if (::unlink(object_path(directory_, object.digest).c_str()) != 0 && errno != ENOENT) return false;
  --usage_.objects;
  usage_.bytes -= object.bytes;
  ++usage_.removed_objects;
  usage_.removed_bytes += object.bytes;
  return true;
}

void StoreSweep::shrink(std::uint64_t limit, const std::stop_token& stop) {
  if (usage_.bytes <= limit) return;
  const std::uint64_t target = limit / 10 * 9;
  std::ranges::sort(objects_, {}, &Object::used_ns);
  std::erase_if(objects_, [&](const Object& object) {
    return usage_.bytes > target && !stop.stop_requested() && remove(object);
  });
}

void StoreSweep::remove_damaged(IsDamaged is_damaged, const std::stop_token& stop) {
  std::erase_if(objects_, [&](const Object& object) {
    return !stop.stop_requested() && is_damaged(object_path(directory_, object.digest), object.digest) &&
           remove(object);
  });
}

std::vector<Sha256> StoreSweep::sample(std::size_t count) const {
  std::vector<Object> taken;
  std::ranges::sample(objects_, std::back_inserter(taken), static_cast<std::ptrdiff_t>(count),
                      std::mt19937_64{std::random_device{}()});
  std::vector<Sha256> digests;
  for (const Object& object : taken) digests.push_back(object.digest);
  return digests;
}

}  // namespace kiln
