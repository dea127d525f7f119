#include "client/daemon_cache.h"

#include "client/connection.h"
#include "common/cache_keeper.h"
#include "common/place.h"
#include "common/printable.h"
#include "common/shell_word.h"

namespace kiln {
namespace {

// Nothing where there is none, or none that answers.
Result<std::string> cache_of_daemon() {
  Connection connection = TRY(Connection::open_living());
  proto::Request request;
  request.mutable_status();
  TRY_VOID(connection.send(std::move(request)));
  TRY_VOID(connection.await_answer());
  return TRY(connection.receive()).status().daemon().cache_dir();
}

}  // namespace

std::string of_another_cache(const std::string& its_dir) {
  return "the daemon that is running keeps its cache in " + printable(its_dir) + ", not where this one says";
}

std::optional<Error> kept_by_another(const std::string& cache_dir, const std::string& runtime_dir) {
  const auto keeper = keeper_of(cache_dir);
  if (!keeper || keeper->runtime_dir.empty() || keeper->runtime_dir == runtime_dir) return std::nullopt;
  const std::string which = printable(keeper->runtime_dir) + ", pid " + std::to_string(keeper->pid);
  const bool can_go_there = can_be_used(keeper->runtime_dir);
  return Error{Reason::config,
               "the daemon of " + which + ", keeps the index of " + printable(cache_dir) +
                   "; this one has an index of its own, which is forgotten when it ends",
               can_go_there ? "export KILN_RUNTIME_DIR=" + shell_word(keeper->runtime_dir)
                            : use_another("KILN_CACHE_DIR")};
}

std::optional<Error> not_keeping(const proto::Status::Daemon& daemon) {
  const std::string runtime_dir = daemon.socket().substr(0, daemon.socket().rfind('/'));
  if (auto other = kept_by_another(daemon.cache_dir(), runtime_dir)) return other;
  if (keeper_of(daemon.cache_dir())) return std::nullopt;
  return Error{Reason::config,
               "the daemon has an index of its own, not that of " + printable(daemon.cache_dir()) +
                   ", and forgets it when it ends",
               "kiln daemon restart"};
}

Result<void> check_daemon_cache(const std::string& dir) {
  const auto its_dir = cache_of_daemon();
  if (!its_dir || *its_dir == dir) return {};
  return Error{Reason::config, of_another_cache(*its_dir), "kiln daemon restart"};
}

}  // namespace kiln
