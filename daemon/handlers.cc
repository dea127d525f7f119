#include "daemon/handlers.h"

#include <unistd.h>

#include <ctime>
#include <fstream>

#include "common/overlay.h"
#include "common/version.h"
#include "daemon/images.h"
#include "daemon/index_thread.h"
#include "daemon/precompile_service.h"

namespace kiln {

namespace asio = boost::asio;

namespace {

std::uint64_t resident_bytes() {
  std::uint64_t pages = 0;
  std::uint64_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t monotonic_s() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec);
}

void describe(const IndexSummary& summary, proto::Status& status) {
  auto& cache = *status.mutable_cache();
  cache.set_entries(summary.counts.entries());
  cache.set_fresh(summary.counts.fresh);
  cache.set_stale(summary.counts.stale);
  cache.set_error(summary.counts.error);
  cache.set_orphan(summary.counts.orphan);
  for (const InterpreterInfo& info : summary.interpreters) {
    auto& interpreter = *status.add_interpreters();
    interpreter.set_path(info.executable);
    interpreter.set_version(info.version);
    interpreter.set_tag(info.cache_tag);
    interpreter.set_magic(info.magic & 0xffff);
  }
}

}  // namespace

asio::awaitable<void> Handlers::handle(Session& session, const proto::Request& request) {
  // Any build may stop any daemon: that is how one is replaced.
  if (request.has_stop()) co_return co_await stop(session);
  if (request.protocol() != kProtocolVersion || request.build_id() != build_id()) {
    const Error mismatch{Reason::build_mismatch, "the daemon is of build " + std::string(build_id()), {}};
    co_return co_await session.refuse(mismatch);
  }
  switch (request.what_case()) {
    case proto::Request::kRun:
      co_return co_await run(session, request.run());
    case proto::Request::kPrecompile:
      co_return co_await precompile_.serve(session, request.precompile());
    case proto::Request::kStatus:
      co_return co_await status(session);
    default:
      co_return co_await answer_ping(session);
  }
}

asio::awaitable<void> Handlers::run(Session& session, const proto::RunRequest& request) {
  if (request.mount_namespace() != facts_.mount_namespace || request.root_device() != facts_.root_device ||
      request.root_inode() != facts_.root_inode) {
    const Error elsewhere{Reason::namespace_differs, {}, {}};
    co_return co_await session.refuse(elsewhere);
  }
  auto decision = images_.route(request, session.hand_over());
  if (const auto* error = std::get_if<Error>(&decision)) co_return co_await session.refuse(*error);
  if (const auto* start = std::get_if<Images::Start>(&decision)) {
    proto::Reply reply;
    reply.mutable_start_image()->set_overlay(overlay_dir(facts_.cache_dir));
    session.reply_with_fd(reply, start->channel.get());
  }
}

asio::awaitable<void> Handlers::status(Session& session) {
  proto::Reply reply;
  auto& status = *reply.mutable_status();
  auto& daemon = *status.mutable_daemon();
  daemon.set_pid(::getpid());
  daemon.set_version(std::string(version()));
  daemon.set_build_id(std::string(build_id()));
  daemon.set_uptime_s(monotonic_s() - facts_.start_s);
  daemon.set_socket(facts_.socket);
  daemon.set_cache_dir(facts_.cache_dir);
  daemon.set_log(facts_.log);
  daemon.set_resident_bytes(resident_bytes());
  images_.describe(status);
  const auto summary = co_await index_.summarize();
  if (!summary) co_return co_await session.refuse(summary.error());
  describe(*summary, status);
  co_await session.reply(reply);
}

asio::awaitable<void> Handlers::answer_ping(Session& session) {
  const proto::Reply pong;
  co_await session.reply(pong);
}

asio::awaitable<void> Handlers::stop(Session& session) {
  proto::Reply reply;
  reply.mutable_stopping()->set_pid(::getpid());
  co_await session.reply(reply);
  stop_();
}

}  // namespace kiln
