#include "daemon/precompile_memory.h"

#include <algorithm>

#include "daemon/source_walk.h"

namespace kiln {
namespace {

constexpr std::size_t kMost = 64;

// The index's keys for interpreters, and all of the request but how fast it is to be done.
std::string key_of(proto::PrecompileRequest request, std::span<const InterpreterInfo> interpreters) {
  request.clear_jobs();
  std::string key = request.SerializeAsString();
  for (const auto& interpreter : interpreters) {
    const auto& binary = interpreter.binary;
    for (const auto& part : {binary.real_path, std::to_string(binary.device), std::to_string(binary.inode),
                             std::to_string(binary.mtime_ns)}) {
      key.append(1, '\0').append(part);
    }
  }
  return key;
}

bool is_all_fresh(const proto::PrecompileEvent::Summary& summary) {
  return summary.failure().empty() &&
         summary.compiled() + summary.restored() + summary.stale() + summary.overlaid() + summary.errors() ==
             0;
}

bool looks_elsewhere(const proto::PrecompileRequest& request) {
  return request.force() || !request.pycache_prefix().empty();
}

}  // namespace

std::optional<proto::PrecompileEvent::Summary> PrecompileMemory::recall(
    const proto::PrecompileRequest& request, std::span<const InterpreterInfo> interpreters) {
  if (entries_.empty()) return std::nullopt;
  const auto found = entries_.find(key_of(request, interpreters));
  if (found == entries_.end()) return std::nullopt;
  watcher_->drain();
  const bool holds = std::ranges::all_of(request.targets(), [&](const auto& target) {
    const std::string path = clean_path(target.path());
    const auto by_stat = watcher_->tree_unchanged_since(path, found->second.then);
    return by_stat && by_stat->empty() && watcher_->watches_all_below(path);
  });
  if (holds) return found->second.summary;
  entries_.erase(found);
  return std::nullopt;
}

void PrecompileMemory::keep(const proto::PrecompileRequest& request,
                            std::span<const InterpreterInfo> interpreters, Tick then,
                            const proto::PrecompileEvent::Summary& summary) {
  if (watcher_ == nullptr || looks_elsewhere(request) || !is_all_fresh(summary)) return;
  if (entries_.size() >= kMost) entries_.clear();  // who has so many asks for each seldom
  entries_.insert_or_assign(key_of(request, interpreters), Entry{then, summary});
}

}  // namespace kiln
