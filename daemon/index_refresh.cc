#include "daemon/index_refresh.h"

#include <utility>

#include "common/path_text.h"

namespace kiln {
namespace {

// Where this part of all directories was not proved, it is faster to go through all entries once.
constexpr double kOneByOne = 0.25;

}  // namespace

IndexRefresh::IndexRefresh(Watcher* watcher) : watcher_(watcher) {
  if (watcher != nullptr) proofs_.emplace(DirectoryProofs(*watcher), DirectoryProofs(*watcher));
}

Result<void> IndexRefresh::refresh(Index& index, const std::stop_token& stop) {
  recorded_.clear();
  if (!proofs_) return index.refresh(stop);
  return look(index, proofs_->refreshed, stop, [&](const IndexFilter& filter) {
    return filter.path.empty() ? index.refresh(stop) : index.refresh(filter, stop);
  });
}

Result<void> IndexRefresh::refresh_recorded(Index& index, const std::stop_token& stop) {
  for (const auto& directory : std::exchange(recorded_, {}))
    TRY_VOID(index.refresh({.path = directory, .executable = {}, .direct = true}, stop));
  return {};
}

Result<void> IndexRefresh::find_misleading(Index& index, const std::stop_token& stop) {
  if (!proofs_) return index.find_misleading({}, stop);
  return look(index, proofs_->settled, stop,
              [&](const IndexFilter& filter) { return index.find_misleading(filter, stop); });
}

template <class Look>
Result<void> IndexRefresh::look(Index& index, DirectoryProofs& proofs, const std::stop_token& stop,
                                Look look) {
  TRY_VOID(complete(index));
  const Tick now = watcher_->drain();
  if (proofs.hold(now)) return {};
  const auto unproved = proofs.to_look_at();
  if (static_cast<double>(unproved.size()) > kOneByOne * static_cast<double>(proofs.size())) {
    TRY_VOID(look(IndexFilter{}));
  } else {
    for (const auto& directory : unproved)
      TRY_VOID(look(IndexFilter{.path = directory, .executable = {}, .direct = true}));
  }
  if (stop.stop_requested()) return {};
  auto unwatched = proofs.looked_at(unproved, now);
  if (on_unwatched && !unwatched.empty()) on_unwatched(std::move(unwatched));
  return {};
}

// Once.
Result<void> IndexRefresh::complete(Index& index) {
  if (is_complete_) return {};
  TRY_VOID(
      index.list({.with_gone = true}, [this](const IndexEntry& entry) { note(entry.source, entry.pyc); }));
  is_complete_ = true;
  return {};
}

void IndexRefresh::note(std::span<const FileResult> files) {
  for (const auto& file : files) {
    recorded_.emplace(directory_of(file.source));
    note(file.source, file.pyc);
  }
}

void IndexRefresh::note(const std::string& source, const std::string& pyc) {
  if (!proofs_) return;
  const std::string directory(directory_of(source));
  const std::string place(directory_of(pyc));
  proofs_->refreshed.note(directory, place);
  proofs_->settled.note(directory, place);
}

}  // namespace kiln
