// Precompilations that found everything fresh, and whether that still holds: then the next of the same kind
// needs no look at any file, whatever the size of the tree.
//
// It holds where the watcher proves all below the targets to be as it was (daemon/watch/watcher.h). What it
// cannot prove (symlinks, files with several links, other file systems, what is ignored) is never remembered.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "daemon/interpreter.h"
#include "daemon/watch/watcher.h"
#include "proto/kiln.pb.h"

namespace kiln {

// Belongs to one thread.
class PrecompileMemory {
 public:
  // WATCHER outlives this; null: nothing is remembered.
  explicit PrecompileMemory(Watcher* watcher) : watcher_(watcher) {}

  // To be taken before the files are looked at.
  Tick now() { return watcher_ != nullptr ? watcher_->drain() : 0; }

  // What the same REQUEST found, if it would find the same now. Drains the watcher.
  std::optional<proto::PrecompileEvent::Summary> recall(const proto::PrecompileRequest& request,
                                                        std::span<const InterpreterInfo> interpreters);

  // SUMMARY is what REQUEST found, looking at the files after THEN; not kept unless all was fresh.
  void keep(const proto::PrecompileRequest& request, std::span<const InterpreterInfo> interpreters, Tick then,
            const proto::PrecompileEvent::Summary& summary);

 private:
  struct Entry {
    Tick then = 0;
    proto::PrecompileEvent::Summary summary;
  };

  Watcher* watcher_;
  std::map<std::string, Entry> entries_;  // by everything that decides what is looked at
};

}  // namespace kiln
