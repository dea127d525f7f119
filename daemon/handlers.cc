#include "daemon/handlers.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <ctime>
#include <fstream>
#include <limits>
#include <set>

#include "common/overlay.h"
#include "common/version.h"
#include "daemon/examination.h"
#include "daemon/explain_service.h"
#include "daemon/index_thread.h"
#include "daemon/overlay.h"
#include "daemon/precompile_service.h"
#include "daemon/recompile.h"
#include "daemon/run_counts.h"
#include "daemon/settings.h"
#include "daemon/shown_tag.h"
#include "daemon/store_thread.h"
#include "daemon/watch_service.h"

namespace kiln {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

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

constexpr std::size_t kListedAtOnce = 1'000;  // entries a reply, or little more: well below a frame's limit

std::vector<IndexFilter> filters_of(const google::protobuf::RepeatedPtrField<std::string>& paths,
                                    std::optional<EntryState> state) {
  std::vector<IndexFilter> filters;
  for (const auto& path : paths) filters.push_back({state, path == "/" ? "" : path});
  if (filters.empty()) filters.push_back({state, {}});
  return filters;
}

// With the "all" of a request as a number that is never reached.
std::uint64_t limit_of(const proto::ListRequest& request) {
  return request.limit() != 0 ? request.limit() : std::numeric_limits<std::uint64_t>::max();
}

void describe(IndexEntry entry, proto::ListReply::Entry& listed) {
  if (!entry.warnings.empty()) listed.set_warnings(name_file_in(entry.warnings, entry.source));
  listed.set_tag(shown_tag(entry));
  listed.set_source(std::move(entry.source));
  listed.set_pyc(std::move(entry.pyc));
  listed.set_python(std::move(entry.executable));
  listed.set_optimize(entry.optimize);
  listed.set_state(std::string(word(entry.state)));
  listed.set_size(entry.pyc_size);
  listed.set_modified_ns(entry.pyc_mtime_ns);
  listed.set_made_us(entry.made_us);
  listed.set_restored(entry.restored);
  if (!entry.error) return;
  listed.set_error_type(entry.error->type);
  listed.set_error_message(entry.error->message);
  listed.set_line(entry.error->line);
  listed.set_column(entry.error->column);
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

// A limit that is not known is left out.
void add_limit(const char* name, std::uint64_t used, std::uint64_t limit, proto::Status& status) {
  if (limit == Store::kNoLimit) return;
  auto& added = *status.add_limits();
  added.set_name(name);
  added.set_used(used);
  added.set_limit(limit);
}

void describe(const OverlayUsage& usage, proto::GcReply::Overlay& done) {
  done.set_files(usage.files);
  done.set_bytes(usage.bytes);
  done.set_removed_files(usage.removed_files);
  done.set_removed_bytes(usage.removed_bytes);
}

// By paths, which mean the client's files. A run says by itself where it is.
bool names_files(const proto::Request& request) {
  return request.has_precompile() || request.has_list() || request.has_clean() || request.has_watch() ||
         request.has_follow() || request.has_explain();
}

std::string_view word_of(const Images::Decision& decision) {
  if (const auto* error = std::get_if<Error>(&decision)) return word(error->reason);
  return word(std::holds_alternative<Images::Start>(decision) ? Reason::no_image : Reason::served);
}

Error images_disabled(const Config& config) {
  const auto origin = config.origins.find("images.enabled");
  if (origin == config.origins.end()) return {Reason::images_disabled, {}, {}};
  return {Reason::images_disabled, "images.enabled is false, by " + origin->second.back().text(), {}};
}

// Why the program of RUN is not to be run ahead. Empty: it is.
std::string why_not_ahead(const Config& config, const proto::RunRequest& run) {
  if (!config.images_programs) return "images.programs is false";
  return matches_any(config.images_never, run.place()) ? "images.never names it" : "";
}

// RUN, with what the images are to know of the configuration, in COPY where that is anything: every run comes
// by here.
const proto::RunRequest& configured(const Config& config, const proto::RunRequest& run,
                                    proto::RunRequest& copy) {
  if (config.images_trust.empty()) return run;
  copy = run;
  for (const auto& module : config.images_trust) copy.add_trusted(module.glob);
  return copy;
}

}  // namespace

asio::awaitable<void> Handlers::handle(Session& session, const proto::Request& request) {
  // Who had no answer in time has told so, and gone: what was given up takes no effect later.
  if (request.has_stop() && session.has_hung_up()) co_return;
  // Any build may stop any daemon: that is how one is replaced.
  if (request.has_stop()) co_return co_await stop(session);
  if (request.protocol() != kProtocolVersion || request.build_id() != build_id()) {
    const Error mismatch{Reason::build_mismatch, "the daemon is of build " + std::string(build_id()),
                         "kiln daemon restart"};
    co_return co_await session.refuse(mismatch);
  }
  if (names_files(request) && !sees_the_same_files(request)) {
    const Error elsewhere{Reason::namespace_differs, std::string(wording(Reason::namespace_differs)),
                          "export KILN_RUNTIME_DIR=\"$(mktemp -d)\""};
    co_return co_await session.refuse(elsewhere);
  }
  switch (request.what_case()) {
    case proto::Request::kRun:
      co_return co_await run(session, request.run());
    case proto::Request::kPrecompile:
      co_return co_await precompile(session, request.precompile());
    case proto::Request::kStatus:
      co_return co_await status(session);
    case proto::Request::kGc:
      co_return co_await gc(session, request.gc());
    case proto::Request::kList:
      co_return co_await list(session, request.list());
    case proto::Request::kClean:
      co_return co_await clean(session, request.clean());
    case proto::Request::kWatch:
      co_return co_await watch_.serve(session, request.watch());
    case proto::Request::kFollow:
      co_return co_await watch_.serve(session, request.follow());
    case proto::Request::kExplain:
      co_return co_await explain(session, request.explain());
    case proto::Request::kExplainRun:
      co_return co_await explain_run(session, request.explain_run().run());
    case proto::Request::kWarm:
      co_return co_await warm(session, request.warm().run());
    case proto::Request::kMostUsed:
      co_return co_await most_used(session, request.most_used());
    case proto::Request::kSettle:
      co_return co_await settle(session);
    case proto::Request::kExamine:
      co_return co_await examine(session);
    case proto::Request::kReload:
      co_return co_await reload(session);
    case proto::Request::kStats:
      co_return co_await counts_.serve(session, request.stats());
    default:
      co_return co_await answer_ping(session);
  }
}

asio::awaitable<void> Handlers::run(Session& session, const proto::RunRequest& request) {
  const auto config = config_of(request);
  if (!config) {
    spdlog::debug("a run at {}: {}", request.place(), word(config.error().reason));
    co_return co_await session.refuse(config.error());
  }
  proto::RunRequest copy;
  const auto& run = configured(*config, request, copy);
  auto decision = images_.route(run, session.hand_over(), why_not_ahead(*config, request).empty());
  spdlog::debug("a run at {}: {}", request.place(), word_of(decision));
  if (const auto* error = std::get_if<Error>(&decision)) co_return co_await session.refuse(*error);
  if (const auto* start = std::get_if<Images::Start>(&decision)) order_start(session, *start);
}

Result<Config> Handlers::config_of(const proto::RunRequest& request) {
  if (!sees_the_same_files(request)) return Error{Reason::namespace_differs, {}, {}};
  auto config = settings_.of(request);
  if (config && !config->images_enabled) return images_disabled(*config);
  return config;
}

void Handlers::order_start(Session& session, const Images::Start& start) const {
  proto::Reply reply;
  reply.mutable_start_image()->set_overlay(overlay_dir(facts_.cache_dir));
  session.reply_with_fd(reply, start.channel.get());
}

asio::awaitable<void> Handlers::warm(Session& session, const proto::RunRequest& request) {
  const auto config = config_of(request);
  if (config) {
    const auto start = images_.start_if_missing(request);
    if (start) co_return order_start(session, *start);
    proto::RunRequest copy;
    const auto& run = configured(*config, request, copy);
    if (why_not_ahead(*config, request).empty()) co_await images_.run_ahead(run);
  }
  co_await explain_run(session, request);
}

// Commands that are about bytecode are times at which a changed interpreter should be noticed.
asio::awaitable<void> Handlers::precompile(Session& session, const proto::PrecompileRequest& request) {
  co_await precompile_.serve(session, request);
  recompiler_.look_at_interpreters();
}

void Handlers::describe_daemon(proto::Status::Daemon& daemon) const {
  daemon.set_pid(::getpid());
  daemon.set_version(std::string(version()));
  daemon.set_build_id(std::string(build_id()));
  daemon.set_uptime_s(monotonic_s() - facts_.start_s);
  daemon.set_socket(facts_.socket);
  daemon.set_cache_dir(facts_.cache_dir);
  daemon.set_log(facts_.log);
  daemon.set_resident_bytes(resident_bytes());
  daemon.set_service(facts_.service);
  if (settings_.error()) daemon.set_configuration_error(settings_.error()->message);
}

asio::awaitable<void> Handlers::status(Session& session) {
  recompiler_.look_at_interpreters();
  proto::Reply reply;
  auto& status = *reply.mutable_status();
  describe_daemon(*status.mutable_daemon());
  images_.describe(status);
  const auto summary = co_await index_.summarize();
  if (!summary) co_return co_await session.refuse(summary.error());
  describe(*summary, status);
  const auto store_bytes = co_await store_.bytes();
  status.mutable_cache()->set_store_bytes(store_bytes ? *store_bytes : 0);
  add_limit("store_bytes", store_bytes ? *store_bytes : 0, store_.limit(), status);
  const auto overlay_bytes = co_await overlay_.bytes();
  add_limit("overlay_bytes", overlay_bytes ? *overlay_bytes : 0, overlay_.limit(), status);
  watch_.describe(status);
  co_await session.reply(reply);
}

asio::awaitable<void> Handlers::examine(Session& session) {
  proto::Reply reply;
  auto& found = *reply.mutable_examine();
  describe_daemon(*found.mutable_status()->mutable_daemon());
  images_.describe(*found.mutable_status());
  watch_.describe(*found.mutable_status());
  const auto [damage, sample] = co_await (index_.find_damage() && store_.examine(kExaminedObjects));
  found.set_index_problem(damage ? *damage : damage.error().message);
  if (sample) {
    describe(*sample, found);
  } else {
    found.set_store_problem(sample.error().message);
  }
  co_await session.reply(reply);
}

asio::awaitable<void> Handlers::list(Session& session, const proto::ListRequest& request) {
  recompiler_.look_at_interpreters();
  auto filters = filters_of(request.paths(), entry_state_from_word(request.state()));
  for (IndexFilter& filter : filters) filter.binary = request.python();
  const auto refreshed = co_await index_.refresh();
  if (!refreshed) co_return co_await session.refuse(refreshed.error());
  std::uint64_t left = limit_of(request);
  for (const IndexFilter& filter : filters) {
    if (left == 0) break;
    if (!co_await list_all(session, filter, left)) co_return;
  }
  proto::Reply last;
  last.mutable_list()->set_last(true);
  co_await session.reply(last);
}

// In parts: neither the whole list nor a client that reads slowly is anybody's burden. While one is sent the
// next is read. False: the session has ended.
asio::awaitable<bool> Handlers::list_all(Session& session, const IndexFilter& filter, std::uint64_t& left) {
  std::string after;
  std::size_t wanted = std::min<std::uint64_t>(left, kListedAtOnce);
  auto part = co_await index_.list_part(filter, after, wanted);
  while (part && !part->empty()) {
    after = part->back().source;
    if (part->size() > left) part->resize(left);
    left -= part->size();
    if (left == 0) co_return co_await send(session, *part);
    wanted = std::min<std::uint64_t>(left, kListedAtOnce);
    auto [next, sent] = co_await (index_.list_part(filter, after, wanted) && send(session, *part));
    if (!sent) co_return false;
    part = std::move(next);
  }
  if (!part) co_await session.refuse(part.error());
  co_return part.has_value();
}

asio::awaitable<bool> Handlers::send(Session& session, std::vector<IndexEntry>& part) {
  const std::string overlaid = overlay_.dir() + "/";
  proto::Reply reply;
  for (IndexEntry& entry : part) {
    auto& listed = *reply.mutable_list()->add_entries();
    listed.set_overlaid(entry.pyc.starts_with(overlaid));
    describe(std::move(entry), listed);
  }
  co_return co_await session.reply(reply);
}

asio::awaitable<void> Handlers::clean(Session& session, const proto::CleanRequest& request) {
  auto filters = filters_of(request.paths(), std::nullopt);
  const auto mode = request.dry_run() ? CleanMode::dry_run : CleanMode::real;
  const auto done = co_await index_.clean_orphans(std::move(filters), mode);
  if (!done) co_return co_await session.refuse(done.error());
  proto::Reply reply;
  reply.mutable_clean();
  for (const auto& path : done->removed) reply.mutable_clean()->add_removed(path);
  for (const auto& path : done->kept) reply.mutable_clean()->add_kept(path);
  for (const auto& path : done->foreign) reply.mutable_clean()->add_foreign(path);
  std::vector<std::string> sources(request.paths().begin(), request.paths().end());
  const auto overlaid = co_await overlay_.remove_orphans(std::move(sources), mode);
  if (!overlaid) co_return co_await session.refuse(overlaid.error());
  // What is still there, as when nothing is removed, has been told already where the index knows it.
  const std::set<std::string> told(done->removed.begin(), done->removed.end());
  for (const auto& path : *overlaid) {
    if (!told.contains(path)) reply.mutable_clean()->add_removed(path);
  }
  co_await session.reply(reply);
}

asio::awaitable<void> Handlers::explain(Session& session, const proto::ExplainRequest& request) {
  recompiler_.look_at_interpreters();
  co_await explain_.serve(session, request);
}

// As run() decides.
asio::awaitable<void> Handlers::explain_run(Session& session, const proto::RunRequest& request) {
  proto::Reply reply;
  auto& explained = *reply.mutable_explain_run();
  const auto config = config_of(request);
  if (config) {
    const std::string not_ahead = why_not_ahead(*config, request);
    proto::RunRequest copy;
    images_.explain(configured(*config, request, copy), not_ahead.empty(), explained);
    explained.set_not_ahead(not_ahead);
  } else {
    explained.set_how("exec");
    explained.set_reason(std::string(word(config.error().reason)));
    explained.set_detail(config.error().message);
  }
  co_await session.reply(reply);
}

asio::awaitable<void> Handlers::gc(Session& session, const proto::GcRequest& request) {
  std::optional<std::uint64_t> limit;
  if (request.has_limit()) limit = request.limit();
  // What the limit was meant to be is not known, and what is removed is gone.
  if (!limit && settings_.error()) co_return co_await session.refuse(*settings_.error());
  const auto usage = co_await store_.gc(limit);
  if (!usage) co_return co_await session.refuse(usage.error());
  const auto overlay = co_await overlay_.gc();
  if (!overlay) co_return co_await session.refuse(overlay.error());
  proto::Reply reply;
  auto& done = *reply.mutable_gc();
  done.set_objects(usage->objects);
  done.set_bytes(usage->bytes);
  done.set_removed_objects(usage->removed_objects);
  done.set_removed_bytes(usage->removed_bytes);
  describe(*overlay, *done.mutable_overlay());
  co_await session.reply(reply);
}

asio::awaitable<void> Handlers::most_used(Session& session, const proto::MostUsedRequest& request) {
  const auto programs = co_await index_.most_used(request.count());
  if (!programs) co_return co_await session.refuse(programs.error());
  proto::Reply reply;
  reply.mutable_most_used();
  for (const EntryPoint& program : *programs) {
    auto& one = *reply.mutable_most_used()->add_programs();
    one.set_entry(program.entry);
    one.set_python(program.executable);
  }
  co_await session.reply(reply);
}

// Asked by a run before Python itself is executed, which follows Python's rule of freshness alone.
asio::awaitable<void> Handlers::settle(Session& session) {
  const auto settled = co_await index_.settle();
  if (!settled) co_return co_await session.refuse(settled.error());
  co_await answer_ping(session);
}

asio::awaitable<void> Handlers::answer_ping(Session& session) {
  const proto::Reply pong;
  co_await session.reply(pong);
}

asio::awaitable<void> Handlers::reload(Session& session) {
  reload_();
  proto::Reply reply;
  auto& reload = *reply.mutable_reload();
  if (const auto& mistake = settings_.error()) reload.set_configuration_error(mistake->message);
  co_await session.reply(reply);
}

asio::awaitable<void> Handlers::stop(Session& session) {
  proto::Reply reply;
  reply.mutable_stopping()->set_pid(::getpid());
  co_await session.reply(reply);
  stop_();
}

}  // namespace kiln
