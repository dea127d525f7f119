// The content-addressed store: compiled code by what it was compiled from, whatever tree, copy or branch the
// source was found in.
//
// One file an object, DIRECTORY/ab/cdef..., by the hexadecimal SHA-256 of its key. Objects are written by
// temporary file and rename, and verified whenever they are read, so that any number of threads and processes
// may use one store at once, without locks; a kill leaves a temporary file at most, and what a power failure
// tears reads as absent. That is why nothing is synced to the disk.
//
// A key says nothing of this machine: no path, inode or time. Two machines that compile the same source by
// the same interpreter name the same object.
//
// Nothing in here is ever linked into a tree: who wants the code copies it (an edit of a hard link in a tree
// would be an edit of the store).
//
// Rejected: SQLite. Objects would need its one connection on its one thread, or locks between processes; a
// file system keeps blobs of this size as well, and finds out by itself what is damaged. Rejected: a journal
// of uses for LRU. The modification time of the object says it, to the hour, with no writes on the way of a
// read.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/result.h"
#include "daemon/digest.h"
#include "daemon/store_object.h"

namespace kiln {

struct StoreKey {
  Sha256 source{};          // of the raw bytes of the source
  std::uint32_t magic = 0;  // the first four bytes of the interpreter's bytecode files, little-endian
  std::string tag;          // sys.implementation.cache_tag: cpython-311
  std::string build;        // which build of that version: sys.version
  int optimize = 0;         // 0, 1, 2
  std::string flags;        // whatever else changes the code; no paths, nothing of this machine
};

// The digest over a canonical form of KEY, which names its object.
Sha256 digest_of(const StoreKey& key);

struct StoreUsage {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;  // disk_bytes of each
  std::uint64_t removed_objects = 0;
  std::uint64_t removed_bytes = 0;  // temporary files that were left by a kill are among them
};

// Some of the objects, verified.
struct StoreSample {
  std::uint64_t objects = 0;  // that there are
  std::uint64_t examined = 0;
  std::vector<std::string> damaged;  // paths
};

// All functions may be called from any thread.
class Store {
 public:
  static constexpr std::uint64_t kNoLimit = ~0ULL;

  // DIRECTORY is absolute; it is created when it is first written to, mode 0700. LIMIT in bytes; with 0
  // nothing is found and nothing kept.
  Store(std::string directory, std::uint64_t limit) : directory_(std::move(directory)), limit_(limit) {}

  // Nothing if there is no such object, it cannot be read, or it is damaged; then it is removed, too. A find
  // is a use of the object, which counts for an hour.
  std::optional<StoredCode> find(const StoreKey& key);

  // Replaces what is there. After an error (disk full, no rights, longer than kMaxStoredCode) nothing of it
  // is left; the caller may go on as if there were no store. An object that would take more than a quarter of
  // the limit is not kept, which is no error.
  Result<void> keep(const StoreKey& key, const StoredCode& stored);

  // If objects take more than LIMIT bytes, removes the longest unused ones until they take 90 % of it at
  // most; a LIMIT of 0 empties the store. Removes what a kill left. STOP cuts it short; the counts are then
  // of what was seen. Fails only if the directory is there but cannot be read.
  Result<StoreUsage> gc(std::uint64_t limit, const std::stop_token& stop = {});
  Result<StoreUsage> gc(const std::stop_token& stop = {}) { return gc(limit(), stop); }
  // The same, which also reads all that is left, and removes what is damaged.
  Result<StoreUsage> verify(std::uint64_t limit, const std::stop_token& stop = {});

  // Verifies COUNT objects, taken at random, and changes none: no use counts, and what is damaged stays
  // until somebody asks for it. Fails as gc() does.
  Result<StoreSample> examine(std::size_t count, const std::stop_token& stop = {}) const;

  std::uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  void set_limit(std::uint64_t limit) { limit_.store(limit, std::memory_order_relaxed); }
  // What objects take, in bytes: as the last gc found it, with what this process has kept since. Other
  // processes' objects are seen by the next gc.
  std::uint64_t approximate_bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // Where KEY's object lies, or would.
  std::string path_of(const StoreKey& key) const;

  // Called by keep(), on its thread, whenever another sixteenth of the limit was written since the last gc.
  // To be set before the first keep().
  std::function<void()> on_growth;

 private:
  Result<StoreUsage> sweep(std::uint64_t limit, bool verifies, const std::stop_token& stop);
  void count_written(std::uint64_t bytes);

  const std::string directory_;
  std::atomic<std::uint64_t> limit_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> written_{0};  // since the last gc, or the last call of on_growth
};

}  // namespace kiln
