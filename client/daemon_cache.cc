#include "client/daemon_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "client/connection.h"
#include "common/cache_keeper.h"
#include "common/path_text.h"
#include "common/paths.h"
#include "common/place.h"
#include "common/printable.h"
#include "common/shell_word.h"

namespace kiln {
namespace {

// Nothing where there is none, or none that answers.
Result<proto::Status::Daemon> living_daemon() {
  Connection connection = TRY(Connection::open_living());
  proto::Request request;
  request.mutable_status();
  TRY_VOID(connection.send(std::move(request)));
  TRY_VOID(connection.await_answer());
  return TRY(connection.receive()).status().daemon();
}

// A daemon that systemd starts has the environment of the user's manager.
std::string manage_environment() {
  std::string import;
  std::string unset;
  for (const char* name : {"KILN_CACHE_DIR", "XDG_CACHE_HOME"})
    (std::getenv(name) != nullptr ? import : unset) += std::string(" ") + name;
  std::string commands;
  if (!import.empty()) commands += "systemctl --user import-environment" + import + " && ";
  if (!unset.empty()) commands += "systemctl --user unset-environment" + unset + " && ";
  return commands;
}

// What has to be done before LOCK, which nobody holds, can be had. Empty: nothing.
std::string make_way_for_keeper(const std::string& lock) {
  struct stat status {};
  if (::lstat(lock.c_str(), &status) != 0) return {};
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) return "rm -r " + shell_word(lock) + " && ";
  return ::access(lock.c_str(), R_OK | W_OK) == 0 ? "" : "chmod 600 " + shell_word(lock) + " && ";
}

}  // namespace

Error of_another_cache(const proto::Status::Daemon& daemon) {
  return {Reason::config,
          "the daemon that is running keeps its cache in " + printable(daemon.cache_dir()) +
              ", not where this one says",
          (daemon.service() ? manage_environment() : "") + "kiln daemon restart"};
}

std::optional<Error> kept_by_another(const std::string& cache_dir, const std::string& runtime_dir) {
  const auto keeper = keeper_of(cache_dir);
  if (!keeper || keeper->runtime_dir.empty() || keeper->runtime_dir == runtime_dir) return std::nullopt;
  const std::string which = printable(keeper->runtime_dir) + ", pid " + std::to_string(keeper->pid);
  const bool can_go_there =
      keeper->mount_namespace == own_mount_namespace() && can_be_used(keeper->runtime_dir);
  return Error{Reason::config,
               "the daemon of " + which + ", keeps the index of " + printable(cache_dir) +
                   "; this one has an index of its own, which is forgotten when it ends",
               can_go_there ? "export KILN_RUNTIME_DIR=" + shell_word(keeper->runtime_dir)
                            : use_another("KILN_CACHE_DIR")};
}

std::optional<Error> not_keeping(const proto::Status::Daemon& daemon) {
  const std::string runtime_dir(directory_of(daemon.socket()));
  if (auto other = kept_by_another(daemon.cache_dir(), runtime_dir)) return other;
  if (keeper_of(daemon.cache_dir())) return std::nullopt;
  return Error{Reason::config,
               "the daemon has an index of its own, not that of " + printable(daemon.cache_dir()) +
                   ", and forgets it when it ends",
               make_way_for_keeper(keeper_lock_path(daemon.cache_dir())) + "kiln daemon restart"};
}

std::optional<Error> not_keeping_here() {
  const auto cache = cache_dir();
  const auto runtime = serving_runtime_dir();
  if (!cache || !runtime) return std::nullopt;
  if (auto other = kept_by_another(*cache, *runtime)) return other;
  if (keeper_of(*cache)) return std::nullopt;
  const auto daemon = living_daemon();  // the keeper may be gone, and have left it with an index of its own
  return daemon ? not_keeping(*daemon) : std::nullopt;
}

Result<void> check_daemon_cache(const std::string& dir) {
  const auto daemon = living_daemon();
  if (!daemon || daemon->cache_dir() == dir) return {};
  return of_another_cache(*daemon);
}

}  // namespace kiln
