#include "daemon/watch/changes.h"

#include <algorithm>
#include <utility>

#include "common/path_text.h"

namespace kiln {
namespace {

std::ptrdiff_t depth_of(const std::string& path) {
  return std::ranges::count(path, '/');
}

}  // namespace

bool ChangeSet::is_below_tree(std::string_view directory) const {
  for (;;) {
    const auto found = entries_.find(directory);
    if (found != entries_.end() && found->second.extent == Extent::tree) return true;
    if (directory.size() <= 1) return false;
    directory = directory_of(directory);
  }
}

// Null where a tree above says it already.
ChangeSet::Entry* ChangeSet::entry(const std::string& directory) {
  if (is_below_tree(directory)) return nullptr;
  return &entries_[directory];
}

void ChangeSet::add_file(const std::string& directory, std::string_view name) {
  Entry* const known = entry(directory);
  if (known == nullptr || known->extent != Extent::names || known->names.contains(name)) return;
  known->names.emplace(name);
  if (known->names.size() > name_limit_) *known = {Extent::directory, {}};
  collapse();
}

void ChangeSet::add_directory(const std::string& directory) {
  if (Entry* const known = entry(directory)) *known = {Extent::directory, {}};
  collapse();
}

void ChangeSet::add_tree(const std::string& directory) {
  if (is_below_tree(directory)) return;
  const auto [begin, end] = range_below(entries_, directory);
  entries_.erase(begin, end);
  entries_[directory] = {Extent::tree, {}};
  collapse();
}

// The deepest directories go first, all of one depth at a time, until there is room again: a round for each
// level at the most, however the tree looks.
void ChangeSet::collapse() {
  if (entries_.size() <= directory_limit_) return;
  while (entries_.size() > directory_limit_ / 2 && !entries_.contains("/")) {
    std::ptrdiff_t deepest = 0;
    for (const auto& [path, entry] : entries_) deepest = std::max(deepest, depth_of(path));
    std::set<std::string> parents;
    for (const auto& [path, entry] : entries_) {
      if (depth_of(path) == deepest) parents.emplace(directory_of(path));
    }
    for (const auto& parent : parents) {
      const auto [begin, end] = range_below(entries_, parent);
      entries_.erase(begin, end);
      entries_[parent] = {Extent::tree, {}};
    }
  }
}

Changes ChangeSet::take() {
  Changes changes;
  for (const auto& [path, entry] : std::exchange(entries_, {})) {
    if (entry.extent == Extent::tree) changes.trees.push_back(path);
    if (entry.extent == Extent::directory) changes.directories.push_back(path);
    for (const auto& name : entry.names) changes.files.push_back(path_in(path, name));
  }
  return changes;
}

}  // namespace kiln
