#include "client/daemon_cache.h"

#include "client/connection.h"
#include "common/printable.h"

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

Result<void> check_daemon_cache(const std::string& dir) {
  const auto its_dir = cache_of_daemon();
  if (!its_dir || *its_dir == dir) return {};
  return Error{Reason::config, of_another_cache(*its_dir), "kiln daemon restart"};
}

}  // namespace kiln
