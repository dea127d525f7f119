#include "daemon/watched_root.h"

#include <algorithm>
#include <utility>

#include "common/path_text.h"
#include "daemon/source_walk.h"

namespace kiln {

bool WatchedRoot::holds(std::string_view path) const {
  return path == this->path || is_below(path, this->path);
}

std::string_view WatchedRoot::what_leaves_out(std::string_view path) const {
  if (path == this->path) return {};
  return kiln::what_leaves_out(ignore, path.substr(this->path == "/" ? 1 : this->path.size() + 1));
}

void WatchedRoots::add(WatchedRoot root) {
  std::string path = root.path;
  roots_.insert_or_assign(std::move(path), std::move(root));
}

const WatchedRoot* WatchedRoots::at(const std::string& path) const {
  const auto found = roots_.find(path);
  return found != roots_.end() ? &found->second : nullptr;
}

const WatchedRoot* WatchedRoots::innermost(std::string_view path) const {
  for (auto above = path; !above.empty(); above = above == "/" ? "" : directory_of(above)) {
    const auto found = roots_.find(above);
    if (found != roots_.end()) return &found->second;
  }
  return nullptr;
}

const WatchedRoot* WatchedRoots::covering(std::string_view path) const {
  const WatchedRoot* const root = innermost(path);
  return root != nullptr && root->covers(path) ? root : nullptr;
}

std::string WatchedRoots::why_left_out(std::string_view path) const {
  const WatchedRoot* const root = innermost(path);
  const std::string_view what = root != nullptr ? root->what_leaves_out(path) : std::string_view();
  if (what.empty()) return {};
  if (std::ranges::find(root->ignore, what) != root->ignore.end())
    return "watch.ignore of " + root->path + " has " + std::string(what);
  return "below " + root->path + ", what is in a directory called " + std::string(what) + " is left out";
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
