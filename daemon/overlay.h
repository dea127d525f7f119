// Fills the overlay (common/overlay.h) with the bytecode of sources that runs compiled in vain, in the
// background.
//
// A source that does not compile, or that warns while it does, is left out: Python says so at every run, and
// so must a run under Kiln. It is not tried again until it changes.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <map>
#include <string>

#include "common/image_channel.h"
#include "common/unique_fd.h"
#include "daemon/compile_worker.h"
#include "daemon/file_result.h"
#include "daemon/index_thread.h"
#include "daemon/interpreter.h"

namespace kiln {

struct OverlayWish {
  InterpreterInfo interpreter;
  UncachedSources sources;
};

class Overlay {
 public:
  // DIR, CACHE/overlay, is created when there is something to put in. What is written is recorded in INDEX.
  Overlay(std::string dir, IndexThread& index);
  ~Overlay();

  const std::string& dir() const { return dir_; }

  // Returns at once. Too many wishes at a time are forgotten: the next runs will have them again.
  void fill(OverlayWish wish);

  // Has all work end early. Does not wait for it.
  void stop();
  // Waits for it.
  void join();

 private:
  struct Work;
  void work(const OverlayWish& wish);
  Result<void> fill_all(Work& work);
  Result<void> fill_one(Work& work, const std::string& source);
  bool is_refused(const FileResult& file) const;
  void refuse(const FileResult& file);

  const std::string dir_;
  IndexThread& index_;
  UniqueFd cancel_;  // an eventfd, readable once all shall end
  std::atomic<bool> stopped_{false};
  std::atomic<std::size_t> pending_{0};
  std::map<std::string, FileStamp> refused_;  // by path in the overlay: the source as it was; on the thread
  boost::asio::thread_pool thread_{1};
};

// Removes from the overlay at DIR what has lost its source, and directories that are empty then. Returns the
// number of files. Blocks.
std::size_t remove_overlay_orphans(const std::string& dir);

}  // namespace kiln
