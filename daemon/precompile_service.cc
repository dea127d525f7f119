#include "daemon/precompile_service.h"

#include <malloc.h>
#include <spdlog/spdlog.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include "common/file_stamp.h"
#include "common/overlay.h"
#include "common/path_text.h"
#include "common/pyc.h"
#include "daemon/caught.h"
#include "daemon/source_walk.h"

namespace kiln {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

// Events on their way to the client. When it does not read, the work waits.
constexpr std::size_t kQueuedEvents = 256;
constexpr std::chrono::seconds kWorkersIdle{60};
// What a precompilation that takes so long has needed is worth giving back to the system (malloc_trim(3)).
constexpr std::uint64_t kLong_us = 100'000;
// With less on its disk the index cannot grow, nor any object be kept.
constexpr std::uint64_t kLeastRoom = 16U << 10;

proto::PrecompileEvent::Summary failed(const Error& error) {
  proto::PrecompileEvent::Summary summary;
  summary.set_failure(error.message);
  summary.set_failure_reason(std::string(word(error.reason)));
  summary.set_failure_hint(error.hint);
  return summary;
}

void fill_overlay(PrecompiledBatch& batch, std::uint32_t umask, Overlay& overlay) {
  if (batch.uncached.empty()) return;
  OverlayWish wish{batch.interpreter, {}};
  wish.sources.optimize = static_cast<std::uint64_t>(batch.optimize);
  wish.sources.umask = umask;
  wish.sources.paths = std::move(batch.uncached);
  overlay.fill(std::move(wish));
}

// Where the overlay will have what the batch leaves to it.
void add_overlaid(const PrecompiledBatch& batch, const std::string& dir, std::vector<std::string>& places) {
  for (const auto& source : batch.uncached) {
    places.push_back(
        overlay_path(dir, cache_from_source(source, batch.interpreter.cache_tag, batch.optimize)));
  }
}

// Why CACHE cannot take what was done. The bytecode itself lies elsewhere, and the store is written when
// nobody waits for it any more, so that nothing else would say it. Empty: it can.
std::string why_not_kept(const std::string& cache) {
  struct statvfs space {};
  if (::statvfs(cache.c_str(), &space) != 0 || space.f_blocks == 0) return {};
  if (std::uint64_t{space.f_bavail} * space.f_frsize >= kLeastRoom) return {};
  return "the disk of " + cache + " is full: what was compiled is in its place, but Kiln cannot note it";
}

std::uint64_t count_existing(const std::vector<std::string>& files) {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(files, [](const std::string& file) { return stamp_of(file) != FileStamp{}; }));
}

}  // namespace

void keep_results(PrecompiledBatch batch, std::uint32_t umask, IndexThread& index, Overlay& overlay) {
  fill_overlay(batch, umask, overlay);
  // A file of another name that is no Python was named by mistake: nobody is to be told of it for ever.
  std::erase_if(batch.files, [](const FileResult& file) {
    return file.outcome == FileOutcome::error && !file.source.ends_with(".py");
  });
  index.record(std::move(batch.interpreter), batch.optimize, std::move(batch.files));
}

struct PrecompileService::Job {
  using Channel =
      asio::experimental::concurrent_channel<void(boost::system::error_code, proto::PrecompileEvent)>;

  Job(asio::any_io_executor executor, const proto::PrecompileRequest& wanted)
      : request(wanted), events(std::move(executor), kQueuedEvents) {}

  // From the thread; waits while the queue is full.
  void send(const proto::PrecompileEvent& event) {
    try {
      events.async_send({}, event, asio::use_future).get();
    } catch (const std::exception&) {  // the channel was closed: nobody listens any more
    }
  }

  const proto::PrecompileRequest request;
  Channel events;
  std::stop_source stop;
};

asio::awaitable<void> PrecompileService::serve(Session& session, const proto::PrecompileRequest& request) {
  const auto job = std::make_shared<Job>(co_await asio::this_coro::executor, request);
  const std::stop_callback on_shutdown(stopped_.get_token(), [&stop = job->stop] { stop.request_stop(); });
  ++wanted_;
  asio::post(thread_, [this, job] { run(*job); });
  co_await (stream(session, *job) || session.wait_for_hang_up());
  job->stop.request_stop();
  job->events.close();  // whoever waits to send goes on to the end
}

asio::awaitable<void> PrecompileService::stream(Session& session, Job& job) {
  while (true) {
    auto [failed, event] = co_await job.events.async_receive(asio::as_tuple(asio::use_awaitable));
    if (failed) co_return;
    const bool last = event.has_summary();
    proto::Reply reply;
    *reply.mutable_precompile() = std::move(event);
    const bool sent = co_await session.reply(reply);
    if (last || !sent) co_return;
  }
}

// On the thread.
void PrecompileService::run(Job& job) {
  proto::PrecompileEvent last;
  const auto done = caught([&] { return work(job); });
  *last.mutable_summary() = done ? *done : failed(done.error());
  job.send(last);
  --wanted_;
  wanted_.notify_all();
  if (last.summary().elapsed_us() >= kLong_us) ::malloc_trim(0);
}

void PrecompileService::wait_until_idle() {
  for (auto wanted = wanted_.load(); wanted != 0; wanted = wanted_.load()) wanted_.wait(wanted);
}

// The summary is sent by the caller, last, so that whoever has seen it finds its results in the index.
Result<proto::PrecompileEvent::Summary> PrecompileService::work(Job& job) {
  std::vector<InterpreterInfo> interpreters;
  for (const auto& path : job.request.python()) interpreters.push_back(TRY(interpreters_.at(path)));
  const auto start = std::chrono::steady_clock::now();
  const Tick then = memory_.now();
  if (auto remembered = memory_.recall(job.request, interpreters)) {
    const auto elapsed = std::chrono::steady_clock::now() - start;
    remembered->set_elapsed_us(
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count()));
    if (!job.request.check()) index_.add_work({{"precompile_fresh", remembered->fresh()}});
    return *remembered;
  }
  const auto sink = [&job](const proto::PrecompileEvent& event) {
    if (!event.has_summary()) job.send(event);
  };
  const MadeFiles made = made_files(job.request);
  const PrecompileServices services{compilers_, store_, overlay_.dir(), known_errors(), made};
  Precompiled done = precompile(job.request, interpreters, services, sink, job.stop.get_token());
  spdlog::info("precompile: compiled {}, restored {}, fresh {}, errors {}", done.summary.compiled(),
               done.summary.restored(), done.summary.fresh(), done.summary.errors());
  std::vector<std::string> overlaid;
  for (auto& batch : done.batches) {
    remember_errors(batch, *known_errors_);
    add_overlaid(batch, overlay_.dir(), overlaid);
    if (!job.request.check()) index_.add_work(work_counts(WorkOf::precompile, batch.files));
    keep_results(std::move(batch), job.request.umask(), index_, overlay_);
  }
  if (!overlaid.empty()) {
    TRY_VOID(overlay_.drain());
    done.summary.set_overlaid(done.summary.overlaid() + count_existing(overlaid));
  }
  memory_.keep(job.request, interpreters, then, done.summary);
  const bool has_made_any = done.summary.compiled() + done.summary.restored() > 0;
  if (has_made_any && !job.request.check())
    done.summary.set_not_kept(why_not_kept(std::string(directory_of(overlay_.dir()))));
  return done.summary;
}

MadeFiles PrecompileService::made_files(const proto::PrecompileRequest& request) {
  MadeFiles all;
  for (const auto& target : request.targets()) all.merge(index_.made_files(clean_path(target.path())));
  return all;
}

// Not asked for each time: the index may be busy with what the last request has done.
const KnownErrors& PrecompileService::known_errors() {
  if (!known_errors_) known_errors_ = index_.known_errors();
  return *known_errors_;
}

void PrecompileService::forget_known_errors() {
  asio::post(thread_, [this] { known_errors_.reset(); });
}

void PrecompileService::tend() {
  asio::post(thread_, [this] {
    compilers_.end_idle_since(CompilerPool::Clock::now() - kWorkersIdle);
    ::malloc_trim(0);  // here, where nobody waits for it
  });
}

PrecompileService::~PrecompileService() {
  stop();
  thread_.join();
}

}  // namespace kiln
