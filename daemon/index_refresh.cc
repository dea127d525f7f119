#include "daemon/index_refresh.h"

#include <algorithm>
#include <vector>

#include "daemon/temporary_file.h"

namespace kiln {
namespace {

// Where this part of all directories was not proved, it is faster to go through all entries once.
constexpr double kOneByOne = 0.25;

}  // namespace

Result<void> IndexRefresh::refresh(Index& index, const std::stop_token& stop) {
  if (watcher_ == nullptr) return index.refresh(stop);
  const Tick now = watcher_->drain();
  if (now == all_proved_) return {};
  std::vector<std::string> unproved;
  for (const auto& [directory, since] : directories_) {
    if (!is_proved(directory, since)) unproved.push_back(directory);
  }
  const double part = static_cast<double>(unproved.size()) / static_cast<double>(directories_.size());
  if (!is_complete_ || part > kOneByOne) {
    TRY_VOID(index.refresh(stop));
  } else {
    for (const auto& directory : unproved) {
      TRY_VOID(index.refresh({.path = directory, .executable = {}, .direct = true}, stop));
    }
  }
  if (stop.stop_requested()) return {};
  if (!is_complete_) {
    TRY_VOID(
        index.list({.with_gone = true}, [this](const IndexEntry& entry) { note(entry.source, entry.pyc); }));
    is_complete_ = true;
    for (const auto& [directory, since] : directories_) unproved.push_back(directory);
  }
  if (unproved.empty()) all_proved_ = now;
  for (const auto& directory : unproved) directories_[directory] = now;
  return {};
}

void IndexRefresh::note(std::span<const FileResult> files) {
  if (watcher_ == nullptr) return;
  for (const auto& file : files) note(file.source, file.pyc);
}

void IndexRefresh::note(const std::string& source, const std::string& pyc) {
  const std::string directory = directory_of(source);
  const std::string place = directory_of(pyc);
  directories_[directory] = 0;
  all_proved_ = 0;
  if (place != directory && place != directory + "/__pycache__") elsewhere_.insert(directory);
}

bool IndexRefresh::is_proved(const std::string& directory, Tick since) const {
  return since > 0 && !elsewhere_.contains(directory) && watcher_->files_unchanged_since(directory, since) &&
         watcher_->files_unchanged_since(directory + "/__pycache__", since);
}

}  // namespace kiln
