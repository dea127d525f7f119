#include "daemon/directory_proofs.h"

#include <string_view>
#include <utility>

#include "common/pyc.h"

namespace kiln {
namespace {

constexpr std::string_view kCache = "/__pycache__";

}  // namespace

void DirectoryProofs::note(const std::string& directory, const std::string& place) {
  directories_[directory] = 0;
  open_.insert(directory);
  if (place != directory && place != directory + std::string(kCache)) elsewhere_.insert(directory);
}

std::vector<std::string> DirectoryProofs::to_look_at() const {
  std::vector<std::string> unproved;
  const auto examine = [&](const std::string& directory) {
    const auto found = directories_.find(directory);
    if (found != directories_.end() && !is_proved(directory, found->second)) unproved.push_back(directory);
  };
  const auto doubtful = watcher_.doubtful_since(closed_);
  if (!doubtful) {
    for (const auto& [directory, since] : directories_) examine(directory);
    return unproved;
  }
  std::set<std::string> candidates = open_;
  for (const auto& directory : *doubtful) candidates.insert(source_directory(directory));
  for (const auto& directory : candidates) examine(directory);
  return unproved;
}

// What is proved NOW by an entry of its own in the watcher will be until the watcher says otherwise.
std::vector<std::string> DirectoryProofs::looked_at(const std::vector<std::string>& directories, Tick now) {
  std::vector<std::string> unwatched;
  for (const auto& directory : directories) directories_[directory] = now;
  std::set<std::string> candidates = std::exchange(open_, {});
  candidates.insert(directories.begin(), directories.end());
  for (const auto& directory : candidates) {
    const bool is_watched = watcher_.watches_files_of(directory);
    if (is_watched && is_proved(directory, directories_[directory])) continue;
    open_.insert(directory);
    if (!is_watched) unwatched.push_back(directory);
  }
  closed_ = now;
  return unwatched;
}

bool DirectoryProofs::is_proved(const std::string& directory, Tick since) const {
  return since > 0 && !elsewhere_.contains(directory) && watcher_.files_unchanged_since(directory, since) &&
         watcher_.files_unchanged_since(directory + std::string(kCache), since);
}

}  // namespace kiln
