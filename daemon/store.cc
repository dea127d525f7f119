#include "daemon/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>

#include "common/fields.h"
#include "common/path_error.h"
#include "common/path_text.h"
#include "common/unique_fd.h"
#include "daemon/store_sweep.h"
#include "daemon/temporary_file.h"

namespace kiln {
namespace {

// A change of what a key consists of, or of what the stored code means, is a new version.
constexpr std::uint64_t kKeyVersion = 1;
constexpr std::time_t kUseCounts_s = 3600;
constexpr std::uint64_t kGrowthShare = 16;
constexpr std::uint64_t kObjectShare = 4;

// Nothing if it cannot be read. What is longer than an object can be reads as empty: damaged, too.
std::optional<std::string> read_object(int fd, const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  if (static_cast<std::uint64_t>(status.st_size) > kMaxObject) return std::string();
  std::string object(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t filled = 0;
  while (filled < object.size()) {
    const ssize_t count = ::read(fd, object.data() + filled, object.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  object.resize(filled);
  return object;
}

// Also when the time lies ahead, as after a jump of the clock: it would never be the oldest.
void mark_use(int fd, const struct stat& status) {
  if (std::abs(std::time(nullptr) - status.st_mtim.tv_sec) <= kUseCounts_s) return;
  const timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  (void)::futimens(fd, times);
}

int make_directories(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return 0;
  if (errno != ENOENT || directory_of(path) == "/") return errno;
  const int error = make_directories(std::string(directory_of(path)));
  if (error != 0) return error;
  return ::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST ? 0 : errno;
}

int write_object(const std::string& path, std::string_view object) {
  TemporaryFile file;
  int error = file.create(path, 0600);
  if (error == ENOENT) {
    error = make_directories(std::string(directory_of(path)));
    if (error == 0) error = file.create(path, 0600);
  }
  if (error == 0) error = file.write(object);
  if (error == 0) error = file.rename_to(path);
  return error;
}

}  // namespace

Sha256 digest_of(const StoreKey& key) {
  FieldWriter canonical;
  canonical.number(kKeyVersion);
  canonical.bytes(bytes_of(key.source));
  canonical.number(key.magic);
  canonical.bytes(key.tag);
  canonical.bytes(key.build);
  canonical.number(static_cast<std::uint64_t>(key.optimize));
  canonical.bytes(key.flags);
  return sha256(canonical.take());
}

std::string Store::path_of(const StoreKey& key) const {
  return object_path(directory_, digest_of(key));
}

namespace {

// Whatever lies there, opening it must not block.
UniqueFd open_object(const std::string& path) {
  return UniqueFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
}

// Of what cannot be opened: it is not the object's fault that it has just been removed, or that this process
// has too much open.
bool is_fault_of_object(int error) {
  return error == EACCES || error == ELOOP || error == EIO || error == ENXIO;
}

bool is_damaged(const std::string& path, const Sha256& digest) {
  const UniqueFd fd = open_object(path);
  if (!fd) return is_fault_of_object(errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return true;
  const auto object = read_object(fd.get(), status);
  return !object || !decode_object(*object, digest);
}

}  // namespace

std::optional<StoredCode> Store::find(const StoreKey& key) {
  if (limit() == 0) return std::nullopt;
  const Sha256 digest = digest_of(key);
  const std::string path = object_path(directory_, digest);
  const UniqueFd fd = open_object(path);
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return std::nullopt;
  const auto object = read_object(fd.get(), status);
  if (!object) return std::nullopt;
  auto stored = decode_object(*object, digest);
  if (stored) {
    mark_use(fd.get(), status);
  } else {
    ::unlink(path.c_str());  // if somebody has just replaced it, a good one goes: no more than a miss
  }
  return stored;
}

Result<void> Store::keep(const StoreKey& key, const StoredCode& stored) {
  if (limit() == 0) return {};
  if (stored.code.size() > kMaxStoredCode || stored.warnings.size() > kMaxStoredCode - stored.code.size()) {
    return Error{Reason::system, "too long for the store", {}};
  }
  const Sha256 digest = digest_of(key);
  const std::string object = encode_object(digest, stored);
  const std::uint64_t size = disk_bytes(object.size());
  if (size > limit() / kObjectShare) return {};
  const std::string path = object_path(directory_, digest);
  errno = write_object(path, object);
  if (errno != 0) return path_error("cannot write", path);
  count_written(size);
  return {};
}

void Store::count_written(std::uint64_t bytes) {
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  const std::uint64_t share = limit() / kGrowthShare;
  if (written_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= share) return;
  written_.store(0, std::memory_order_relaxed);
  if (on_growth) on_growth();
}

Result<StoreUsage> Store::sweep(std::uint64_t limit, bool verifies, const std::stop_token& stop) {
  written_.store(0, std::memory_order_relaxed);
  StoreSweep sweep(directory_);
  TRY_VOID(sweep.scan(stop));
  // Before anything whole is removed for want of room; of an empty store nothing has to be whole.
  if (verifies && limit > 0) sweep.remove_damaged(is_damaged, stop);
  sweep.shrink(limit, stop);
  bytes_.store(sweep.usage().bytes, std::memory_order_relaxed);
  return sweep.usage();
}

Result<StoreUsage> Store::gc(std::uint64_t limit, const std::stop_token& stop) {
  return sweep(limit, false, stop);
}

Result<StoreUsage> Store::verify(std::uint64_t limit, const std::stop_token& stop) {
  return sweep(limit, true, stop);
}

Result<StoreSample> Store::examine(std::size_t count, const std::stop_token& stop) const {
  StoreSweep sweep(directory_);
  TRY_VOID(sweep.scan(stop));
  StoreSample sample;
  sample.objects = sweep.usage().objects;
  for (const Sha256& digest : sweep.sample(count)) {
    if (stop.stop_requested()) break;
    const std::string path = object_path(directory_, digest);
    if (is_damaged(path, digest)) sample.damaged.push_back(path);
    ++sample.examined;
  }
  return sample;
}

}  // namespace kiln
