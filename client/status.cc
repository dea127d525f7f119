// `kiln status`: daemon, images, cache, interpreters, on one screen or as one JSON document.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/value_from.hpp>
#include <cstdio>

#include "client/command.h"
#include "client/configuration_mistake.h"
#include "client/connection.h"
#include "client/daemon_cache.h"
#include "client/status_screen.h"
#include "common/absence.h"
#include "common/arguments.h"
#include "common/json_text.h"
#include "common/print_error.h"
#include "common/screen.h"

namespace kiln {
namespace {

namespace json = boost::json;

constexpr int kFormat = 1;  // of the JSON document

Result<proto::Status> ask() {
  TRY_VOID(Connection::ping());
  Connection connection = TRY(Connection::open());
  proto::Request request;
  request.mutable_status();
  TRY_VOID(connection.send(std::move(request)));
  proto::Status status = TRY(connection.receive()).status();
  for (auto& one : *status.mutable_interpreters()) one.set_gone(is_gone(one.path()));
  return status;
}

void add_stop(const proto::Status::Image& image, json::object& document) {
  document["entry"] = image.entry();
  document["arguments"] =
      json::value_from(std::vector<std::string>(image.arguments().begin(), image.arguments().end()));
  document["step"] = image.step();
  document["place"] = image.place();
  document["modules"] = image.modules();
  document["inputs"] = image.inputs();
  document["inputs_by_stat"] = image.inputs_by_stat();
  document["saved_us"] = image.saved_us();
  document["last"] = image.last();
  document["finalized"] = image.finalized();
}

json::object to_json(const proto::Status& status) {
  json::object document{{"version", kFormat}};
  const auto& daemon = status.daemon();
  document["daemon"] = {{"pid", daemon.pid()},           {"version", daemon.version()},
                        {"build_id", daemon.build_id()}, {"uptime_s", daemon.uptime_s()},
                        {"socket", daemon.socket()},     {"cache_dir", daemon.cache_dir()},
                        {"log", daemon.log()},           {"resident_bytes", daemon.resident_bytes()},
                        {"service", daemon.service()}};
  if (!daemon.configuration_error().empty())
    document["daemon"].as_object()["configuration_error"] = daemon.configuration_error();
  json::array& interpreters = (document["interpreters"] = json::array()).as_array();
  for (const auto& one : status.interpreters()) {
    interpreters.push_back(
        {{"path", one.path()}, {"version", one.version()}, {"tag", one.tag()}, {"magic", one.magic()}});
    if (one.gone()) interpreters.back().as_object()["gone"] = true;
  }
  json::array& images = (document["images"] = json::array()).as_array();
  for (const auto& one : status.images()) {
    images.push_back(
        {{"python", one.python()},
         {"pid", one.pid()},
         {"options", json::value_from(std::vector<std::string>(one.options().begin(), one.options().end()))},
         {"environment",
          json::value_from(std::vector<std::string>(one.environment().begin(), one.environment().end()))},
         {"kind", one.kind()},
         {"state", one.state()},
         {"runs", one.runs()},
         {"running", one.running()},
         {"age_s", one.age_s()},
         {"memory_bytes", one.memory_bytes()}});
    if (!one.entry().empty()) add_stop(one, images.back().as_object());
  }
  json::array& roots = (document["roots"] = json::array()).as_array();
  for (const auto& one : status.roots()) {
    const std::vector<std::string> unwatched(one.unwatched().begin(), one.unwatched().end());
    roots.push_back({{"path", one.path()},
                     {"policy", one.policy()},
                     {"state", one.state()},
                     {"reason", one.reason()},
                     {"hint", one.hint()},
                     {"directories", one.directories()},
                     {"configuration_error", one.configuration_error()},
                     {"unwatched", json::value_from(unwatched)}});
  }
  document["imported_directories"] = status.imported_directories();
  document["unwatched_imports"] = status.unwatched_imports();
  const auto& unwatched = status.unwatched_directories();
  document["unwatched_directories"] =
      json::value_from(std::vector<std::string>(unwatched.begin(), unwatched.end()));
  document["overflows"] = status.overflows();
  const auto& cache = status.cache();
  document["cache"] = {{"entries", cache.entries()}, {"fresh", cache.fresh()},
                       {"stale", cache.stale()},     {"error", cache.error()},
                       {"orphan", cache.orphan()},   {"store_bytes", cache.store_bytes()}};
  json::array& limits = (document["limits"] = json::array()).as_array();
  for (const auto& one : status.limits()) {
    limits.push_back({{"name", one.name()}, {"used", one.used()}, {"limit", one.limit()}});
  }
  return document;
}

}  // namespace

int status_command(std::span<char*> arguments) {
  CLI::App app("Shows the daemon, its images, the cache and the interpreters", "kiln status");
  bool as_json = false;
  app.add_flag("--json", as_json,
               "one JSON document (keys version, daemon, interpreters, images, roots, imported_directories, "
               "unwatched_imports, unwatched_directories, "
               "overflows, cache, limits)");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  warn_of_configuration();
  auto status = ask();
  if (!status) {
    Error error = status.error();
    if (error.reason == Reason::no_daemon)
      error = {error.reason, "no daemon is running", "kiln daemon start"};
    if (error.reason == Reason::build_mismatch)
      error = {error.reason, "the daemon is of another build", "kiln daemon restart"};
    print_error(error);
    return kExitUnable;
  }
  if (const auto other = not_keeping(status->daemon())) print_warning(*other);
  if (as_json) {
    std::printf("%s\n", json_text(to_json(*status)).c_str());
  } else {
    show(status_text(*status, terminal_columns(STDOUT_FILENO), terminal_rows(STDOUT_FILENO)));
  }
  return kExitDone;
}

}  // namespace kiln
