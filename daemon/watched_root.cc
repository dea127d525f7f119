#include "daemon/watched_root.h"

#include <algorithm>
#include <utility>

#include "common/path_text.h"
#include "daemon/source_walk.h"

namespace kiln {

bool WatchedRoot::holds(std::string_view path) const {
  return path == this->path || is_below(path, this->path);
}

bool WatchedRoot::covers(std::string_view path) const {
  if (path == this->path) return true;
  return holds(path) && !is_left_out(ignore, path.substr(this->path == "/" ? 1 : this->path.size() + 1));
}

void WatchedRoots::add(WatchedRoot root) {
  std::string path = root.path;
  roots_.insert_or_assign(std::move(path), std::move(root));
}

const WatchedRoot* WatchedRoots::at(const std::string& path) const {
  const auto found = roots_.find(path);
  return found != roots_.end() ? &found->second : nullptr;
}

const WatchedRoot* WatchedRoots::covering(std::string_view path) const {
  for (auto above = path; !above.empty(); above = above == "/" ? "" : directory_of(above)) {
    const auto found = roots_.find(above);
    if (found != roots_.end()) return found->second.covers(path) ? &found->second : nullptr;
  }
  return nullptr;
}

bool WatchedRoots::may_hold(std::string_view path) const {
  return std::ranges::any_of(roots_, [&](const auto& entry) {
    const auto& [top, root] = entry;
    return root.holds(path) || is_below(top, path);
  });
}

bool WatchedRoots::may_keep_all(std::string_view path) const {
  return std::ranges::any_of(roots_, [&](const auto& entry) {
    const auto& [top, root] = entry;
    return root.keeps_all() && (root.holds(path) || is_below(top, path));
  });
}

}  // namespace kiln
