// Fills the overlay (common/overlay.h) with the bytecode of sources that runs compiled in vain, in the
// background.
//
// A source that does not compile, or that warns while it does, is left out: Python says so at every run, and
// so must a run under Kiln. It is not tried again until it changes.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/image_channel.h"
#include "common/unique_fd.h"
#include "daemon/compile_worker.h"
#include "daemon/file_result.h"
#include "daemon/index_thread.h"
#include "daemon/interpreter.h"
#include "daemon/overlay_sweep.h"

namespace kiln {

struct OverlayWish {
  InterpreterInfo interpreter;
  UncachedSources sources;
};

class Overlay {
 public:
  // DIR, CACHE/overlay, is created when there is something to put in. What is written is recorded in INDEX,
  // what is removed leaves it. From now on the overlay is kept within LIMIT, in bytes, as it grows; with 0
  // nothing is put in. See shrink() for what lay there.
  Overlay(std::string dir, std::uint64_t limit, IndexThread& index);
  ~Overlay();

  const std::string& dir() const { return dir_; }
  std::uint64_t limit() const { return limit_; }
  // Holds for what is put in from now on.
  void set_limit(std::uint64_t limit) { limit_ = limit; }

  // Returns at once. Too many wishes at a time are forgotten: the next runs will have them again.
  void fill(OverlayWish wish);
  // Blocks until all that was wished for until now is there, or is not going to be. Fails as the last wish
  // did: what makes one fail, such as a file where the directory belongs, makes all fail.
  Result<void> drain();

  // Removes orphans, and what is beyond the limit.
  boost::asio::awaitable<Result<OverlayUsage>> gc();
  // Removes orphans of sources at or below SOURCES, absolute; none: all. The files that were removed.
  boost::asio::awaitable<Result<std::vector<std::string>>> remove_orphans(std::vector<std::string> sources,
                                                                          CleanMode mode);
  // Bytes that files take, about.
  boost::asio::awaitable<Result<std::uint64_t>> bytes();
  // Removes what is beyond the limit some time soon; what fails is logged.
  void shrink();

  // Has all work end early. Does not wait for it.
  void stop();
  // Waits for it.
  void join();

 private:
  struct Work;
  void work(const OverlayWish& wish);
  Result<void> open_dir() const;
  Result<void> fill_all(Work& work);
  Result<void> fill_one(Work& work, const std::string& source);
  bool is_refused(const FileResult& file) const;
  void refuse(const FileResult& file);
  void keep(Work& work);
  void count_written(std::uint64_t bytes);
  Result<OverlayUsage> sweep_here(const std::function<void(OverlaySweep&)>& remove);  // on its thread

  const std::string dir_;
  std::atomic<std::uint64_t> limit_;
  IndexThread& index_;
  UniqueFd cancel_;  // an eventfd, readable once all shall end
  std::atomic<bool> stopped_{false};
  std::atomic<std::size_t> pending_{0};
  std::map<std::string, FileStamp> refused_;  // by path in the overlay: the source as it was; on the thread
  std::optional<Error> failure_;              // of the last wish; on the thread
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> written_{0};  // since the last sweep
  bool counted_ = false;                   // on the sweeper
  std::stop_source sweeping_;
  boost::asio::thread_pool sweeper_{1};  // a thread of its own: who asks must not wait for a compiler
  boost::asio::thread_pool thread_{1};
};

}  // namespace kiln
