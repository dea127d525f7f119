#include "daemon/index_thread.h"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>

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

Result<IndexSummary> IndexThread::summarize_here() {
  Index* index = TRY(this->index());
  TRY_VOID(index->refresh(stop_.get_token()));
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

void IndexThread::close() {
  stop_.request_stop();
  thread_.join();
  index_.reset();
}

}  // namespace kiln
