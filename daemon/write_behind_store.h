// The store as those use it who wait for bytecode: what is kept is found at once, and written when nothing
// more has come for a moment. Compressing an object and creating its file costs about as much as writing the
// bytecode file for which it was compiled, and nobody waits for it.
//
// What waits is bounded; beyond that, objects are written while the caller waits, as if this were not here. A
// kill loses what waits, which is compiled again.
//
// Rejected: to write at once, with nothing but the lowest priority. On two CPUs with two workers a thread of
// nice 19, or of SCHED_IDLE, finds its time between one file and the next, and the last file is done no
// earlier than if each object had been written on the way.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "daemon/store.h"

namespace kiln {

// All functions may be called from any thread.
class WriteBehindStore {
 public:
  static constexpr std::uint64_t kMaxWaiting = 128U << 20;
  static constexpr std::chrono::milliseconds kQuiet{250};

  // At most MAX_WAITING bytes, of code and warnings, wait to be written; which begins when for QUIET nothing
  // more was kept. STORE must outlive this.
  explicit WriteBehindStore(Store& store, std::uint64_t max_waiting = kMaxWaiting,
                            std::chrono::milliseconds quiet = kQuiet);
  ~WriteBehindStore() { close(); }
  WriteBehindStore(const WriteBehindStore&) = delete;
  WriteBehindStore& operator=(const WriteBehindStore&) = delete;

  // As Store::find(); what waits is found, too.
  std::optional<StoredCode> find(const StoreKey& key);
  // As Store::keep(), but replaces nothing that waits under this very key: one key's code is always the same.
  // What cannot be written is logged: whoever keeps something goes on as if there were no store.
  void keep(const StoreKey& key, StoredCode stored);

  // Writes what waits at this moment.
  void flush();
  // The same, and ends the thread. From now on everything is written at once.
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  struct Object {
    Sha256 digest;  // of the key
    StoreKey key;
    StoredCode stored;
    std::uint64_t bytes() const { return stored.code.size() + stored.warnings.size(); }
  };
  using ObjectPointer = std::shared_ptr<const Object>;

  bool put_off(const ObjectPointer& object);
  ObjectPointer waiting_at(const Sha256& digest) const;
  void run(const std::stop_token& stop);
  bool write_next();
  ObjectPointer take_next();
  void forget(const Object& object);
  std::size_t count_waiting() const;
  void write(const Object& object);

  Store& store_;
  const std::uint64_t max_waiting_;
  const std::chrono::milliseconds quiet_;
  std::mutex turn_;           // whoever writes what has waited holds it; taken before the other one
  mutable std::mutex mutex_;  // for what follows
  std::condition_variable_any changed_;
  std::map<Sha256, ObjectPointer> waiting_;  // each until its file is there
  std::deque<ObjectPointer> queue_;          // those of them that nobody writes yet
  std::uint64_t waiting_bytes_ = 0;
  Clock::time_point last_kept_;
  bool closed_ = false;
  std::jthread thread_;
};

}  // namespace kiln
