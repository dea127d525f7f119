// The daemon's store, and the thread that keeps it within its limit.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "common/result.h"
#include "daemon/store.h"
#include "daemon/write_behind_store.h"

namespace kiln {

class StoreThread {
 public:
  // As Store's own. From now on the store is kept within LIMIT as it grows; see shrink() for what lay there.
  StoreThread(std::string directory, std::uint64_t limit);
  ~StoreThread() { close(); }

  // For any thread.
  WriteBehindStore& store() { return behind_; }
  std::uint64_t limit() const { return store_.limit(); }

  // Removes what is beyond the limit: LIMIT, else the store's own, and what is damaged. What waits to be
  // written is written before.
  boost::asio::awaitable<Result<StoreUsage>> gc(std::optional<std::uint64_t> limit);
  // Bytes that objects take on the disk, about. They are counted at the first call, unless a gc has come
  // before. What waits to be written is written before: how large it will be, nobody knows.
  boost::asio::awaitable<Result<std::uint64_t>> bytes();
  // As of Store; what waits to be written is none of it.
  boost::asio::awaitable<Result<StoreSample>> examine(std::size_t count);
  // A gc some time soon; what fails is logged.
  void shrink();

  // From now on it is LIMIT; what is beyond it goes soon.
  void set_limit(std::uint64_t limit);

  // Cuts a gc short, for good.
  void interrupt() { stop_.request_stop(); }
  // The same, writes what waits, and joins. The store itself may still be used; nothing shrinks it then.
  void close();

 private:
  // On the thread.
  Result<StoreUsage> verify_here(std::uint64_t limit);
  Result<StoreUsage> gc_here(std::uint64_t limit);
  StoreUsage counted(const StoreUsage& usage);
  Result<std::uint64_t> bytes_here();

  Store store_;
  WriteBehindStore behind_{store_};
  std::atomic<bool> counted_ = false;
  std::atomic<bool> reads_all_ = false;  // what gc() does
  std::stop_source stop_;
  boost::asio::thread_pool thread_{1};
};

}  // namespace kiln
