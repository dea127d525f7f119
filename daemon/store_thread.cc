#include "daemon/store_thread.h"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <limits>

#include "daemon/blocking.h"

namespace kiln {

namespace asio = boost::asio;

StoreThread::StoreThread(std::string directory, std::uint64_t limit) : store_(std::move(directory), limit) {
  store_.on_growth = [this] { shrink(); };
}

Result<StoreUsage> StoreThread::gc_here(std::uint64_t limit) {
  return counted(TRY(store_.gc(limit, stop_.get_token())));
}

Result<StoreUsage> StoreThread::verify_here(std::uint64_t limit) {
  return counted(TRY(store_.verify(limit, stop_.get_token())));
}

StoreUsage StoreThread::counted(const StoreUsage& usage) {
  counted_ = true;
  if (usage.removed_bytes > 0) {
    spdlog::info("store: removed {} objects, {} bytes; {} objects, {} bytes are left", usage.removed_objects,
                 usage.removed_bytes, usage.objects, usage.bytes);
  }
  return usage;
}

Result<std::uint64_t> StoreThread::bytes_here() {
  if (!counted_) TRY(gc_here(store_.limit()));  // which may have been lowered while no daemon ran
  return store_.approximate_bytes();
}

asio::awaitable<Result<StoreUsage>> StoreThread::gc(std::optional<std::uint64_t> limit) {
  const std::uint64_t wanted = limit.value_or(store_.limit());
  reads_all_ = true;
  auto usage = co_await run_blocking(thread_, [this, wanted] {
    behind_.flush();
    return verify_here(wanted);
  });
  reads_all_ = false;
  co_return usage;
}

asio::awaitable<Result<std::uint64_t>> StoreThread::bytes() {
  if (counted_ && reads_all_) co_return store_.approximate_bytes();  // which takes too long to be waited for
  co_return co_await run_blocking(thread_, [this] {
    behind_.flush();
    return bytes_here();
  });
}

asio::awaitable<Result<StoreSample>> StoreThread::examine(std::size_t count) {
  return run_blocking(thread_, [this, count] { return store_.examine(count, stop_.get_token()); });
}

void StoreThread::shrink() {
  asio::post(thread_, [this] {
    const auto done = caught([this] { return gc_here(store_.limit()); });
    if (!done) spdlog::error("cannot shrink the store: {}", done.error().message);
  });
}

void StoreThread::set_limit(std::uint64_t limit) {
  if (limit == store_.limit()) return;
  const bool is_less = limit < store_.limit();
  store_.set_limit(limit);
  if (is_less) shrink();
}

void StoreThread::close() {
  interrupt();
  behind_.close();
  thread_.join();
}

}  // namespace kiln
