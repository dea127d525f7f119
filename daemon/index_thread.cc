#include "daemon/index_thread.h"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include "daemon/blocking.h"

namespace kiln {

namespace asio = boost::asio;

Result<Index*> IndexThread::index() {
  if (!index_) {
    index_.emplace(TRY(Index::open(path_)));
    if (const auto& former = index_->set_aside())
      spdlog::warn("the index was unusable; it is now {}", *former);
  }
  return &*index_;
}

Result<Index*> IndexThread::refreshed_index() {
  Index* index = TRY(this->index());
  TRY_VOID(index->refresh(stop_.get_token()));
  return index;
}

Result<std::vector<IndexEntry>> IndexThread::list_here(const std::vector<IndexFilter>& filters) {
  Index* index = TRY(refreshed_index());
  std::vector<IndexEntry> entries;
  for (const auto& filter : filters) {
    TRY_VOID(index->list(filter, [&](const IndexEntry& entry) { entries.push_back(entry); }));
  }
  return entries;
}

Result<CleanedOrphans> IndexThread::clean_orphans_here(const std::vector<IndexFilter>& filters) {
  Index* index = TRY(refreshed_index());
  CleanedOrphans all;
  for (const auto& filter : filters) {
    const CleanedOrphans done = TRY(index->clean_orphans(filter));
    all.removed.insert(all.removed.end(), done.removed.begin(), done.removed.end());
    all.kept.insert(all.kept.end(), done.kept.begin(), done.kept.end());
  }
  return all;
}

asio::awaitable<Result<std::vector<IndexEntry>>> IndexThread::list(std::vector<IndexFilter> filters) {
  return run_blocking(thread_, [this, filters = std::move(filters)] { return list_here(filters); });
}

asio::awaitable<Result<CleanedOrphans>> IndexThread::clean_orphans(std::vector<IndexFilter> filters) {
  return run_blocking(thread_, [this, filters = std::move(filters)] { return clean_orphans_here(filters); });
}

Result<IndexSummary> IndexThread::summarize_here() {
  Index* index = TRY(refreshed_index());
  IndexSummary summary;
  summary.counts = TRY(index->counts());
  summary.interpreters = TRY(index->interpreters());
  return summary;
}

asio::awaitable<Result<IndexSummary>> IndexThread::summarize() {
  return run_blocking(thread_, [this] { return summarize_here(); });
}

void IndexThread::record(InterpreterInfo interpreter, int optimize, std::vector<FileResult> files) {
  asio::post(thread_, [this, interpreter = std::move(interpreter), optimize, files = std::move(files)] {
    const auto done = caught([&]() -> Result<void> {
      Index* index = TRY(this->index());
      return index->record(interpreter, optimize, files);
    });
    if (!done) spdlog::error("cannot write the index: {}", done.error().message);
  });
}

KnownErrors IndexThread::known_errors() {
  const auto ask = [this] {
    return caught([&]() -> Result<KnownErrors> {
      Index* index = TRY(this->index());
      return index->known_errors();
    });
  };
  auto known = asio::post(thread_, asio::use_future(ask)).get();
  if (known) return std::move(*known);
  spdlog::error("cannot read the index: {}", known.error().message);
  return {};
}

void IndexThread::close() {
  stop_.request_stop();
  thread_.join();
  index_.reset();
}

}  // namespace kiln
