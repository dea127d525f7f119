// `kiln status`: daemon, images, cache, interpreters, on one screen or as one JSON document.
#include <CLI/CLI.hpp>
#include <boost/json/value_from.hpp>
#include <cstdio>

#include "client/command.h"
#include "client/connection.h"
#include "client/printable.h"
#include "common/arguments.h"
#include "common/json_text.h"
#include "common/print_error.h"
#include "common/quantity.h"

namespace kiln {
namespace {

namespace json = boost::json;

Result<proto::Status> ask() {
  TRY_VOID(Connection::ping());
  Connection connection = TRY(Connection::open());
  proto::Request request;
  request.mutable_status();
  TRY_VOID(connection.send(std::move(request)));
  return TRY(connection.receive()).status();
}

std::string duration_text(std::uint64_t seconds) {
  if (seconds < 60) return std::to_string(seconds) + " s";
  if (seconds < 3600) return std::to_string(seconds / 60) + " min";
  return std::to_string(seconds / 3600) + " h " + std::to_string(seconds / 60 % 60) + " min";
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
  json::object document;
  const auto& daemon = status.daemon();
  document["daemon"] = {{"pid", daemon.pid()},           {"version", daemon.version()},
                        {"build_id", daemon.build_id()}, {"uptime_s", daemon.uptime_s()},
                        {"socket", daemon.socket()},     {"cache_dir", daemon.cache_dir()},
                        {"log", daemon.log()},           {"resident_bytes", daemon.resident_bytes()}};
  if (!daemon.configuration_error().empty())
    document["daemon"].as_object()["configuration_error"] = daemon.configuration_error();
  json::array& interpreters = (document["interpreters"] = json::array()).as_array();
  for (const auto& one : status.interpreters()) {
    interpreters.push_back(
        {{"path", one.path()}, {"version", one.version()}, {"tag", one.tag()}, {"magic", one.magic()}});
  }
  json::array& images = (document["images"] = json::array()).as_array();
  for (const auto& one : status.images()) {
    images.push_back(
        {{"python", one.python()},
         {"pid", one.pid()},
         {"options", json::value_from(std::vector<std::string>(one.options().begin(), one.options().end()))},
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

constexpr int kShownImages = 8;  // a screen has room for

void print_image(const proto::Status::Image& image) {
  std::string name = image.python();
  for (const auto& option : image.options()) name += " " + option;
  if (!image.entry().empty()) name += " " + image.entry();
  for (const auto& argument : image.arguments()) name += " " + argument;
  std::printf("  %s\n    %s, %s, pid %d, %s, %llu runs (%llu now), %s old\n", printable(name).c_str(),
              image.kind().c_str(), image.state().c_str(), image.pid(),
              bytes_text(image.memory_bytes()).c_str(), static_cast<unsigned long long>(image.runs()),
              static_cast<unsigned long long>(image.running()), duration_text(image.age_s()).c_str());
  if (image.step().empty()) return;
  const std::string place = image.place().empty() ? "its end" : image.place();
  std::printf("    stops at %s: %s; saves %.0f ms\n", printable(place).c_str(),
              printable(image.step()).c_str(), static_cast<double>(image.saved_us()) / 1000);
}

void print_images(const proto::Status& status) {
  std::puts("images");
  if (status.images().empty()) std::puts("  none yet; the first run of an interpreter starts one");
  int left = kShownImages;
  for (const auto& image : status.images()) {
    if (left-- > 0) print_image(image);
  }
  if (left < 0) std::printf("  and %d more: kiln status --json\n", -left);
}

void print_roots(const proto::Status& status) {
  if (status.roots().empty() && status.imported_directories() == 0) return;
  std::puts("watched");
  for (const auto& root : status.roots()) {
    std::printf("  %s  %s, %s, directories: %s\n", printable(root.path()).c_str(), root.policy().c_str(),
                root.state().c_str(), count_text(root.directories()).c_str());
    if (!root.reason().empty()) std::printf("    %s\n", printable(root.reason()).c_str());
    if (!root.hint().empty()) std::printf("    hint: %s\n", root.hint().c_str());
    if (!root.configuration_error().empty())
      std::printf("    configuration ignored: %s\n", root.configuration_error().c_str());
    for (const auto& directory : root.unwatched())
      std::printf("    not watched: %s\n", printable(directory).c_str());
  }
  if (status.imported_directories() > 0) {
    std::printf("  directories of what was imported: %s\n",
                count_text(status.imported_directories()).c_str());
    if (status.unwatched_imports() > 0) {
      std::printf("    %s of them not watched: kiln explain FILE tells why\n",
                  count_text(status.unwatched_imports()).c_str());
    }
  }
  if (status.overflows() > 0) {
    std::printf("  the kernel's queue of changes overflowed %s %s; all was looked at again\n",
                count_text(status.overflows()).c_str(), status.overflows() == 1 ? "time" : "times");
  }
}

void print_screen(const proto::Status& status) {
  const auto& daemon = status.daemon();
  std::printf("daemon\n  pid %d, kilnd %s, up %s, %s\n  socket %s\n  log    %s\n", daemon.pid(),
              daemon.version().c_str(), duration_text(daemon.uptime_s()).c_str(),
              bytes_text(daemon.resident_bytes()).c_str(), daemon.socket().c_str(), daemon.log().c_str());
  if (!daemon.configuration_error().empty())
    std::printf("  configuration ignored: %s\n", daemon.configuration_error().c_str());
  print_images(status);
  std::puts("interpreters");
  if (status.interpreters().empty()) std::puts("  none yet");
  for (const auto& one : status.interpreters()) {
    std::printf("  %s  %s, %s, magic %u\n", one.path().c_str(), one.version().c_str(), one.tag().c_str(),
                one.magic());
  }
  print_roots(status);
  const auto& cache = status.cache();
  std::printf("cache  %s\n  %llu entries: %llu fresh, %llu stale, %llu error, %llu orphan\n",
              daemon.cache_dir().c_str(), static_cast<unsigned long long>(cache.entries()),
              static_cast<unsigned long long>(cache.fresh()), static_cast<unsigned long long>(cache.stale()),
              static_cast<unsigned long long>(cache.error()),
              static_cast<unsigned long long>(cache.orphan()));
  std::puts("limits");
  for (const auto& one : status.limits()) {
    const auto amount = one.name().ends_with("_bytes") ? bytes_text : count_text;
    std::printf("  %s: %s of %s\n", one.name().c_str(), amount(one.used()).c_str(),
                amount(one.limit()).c_str());
  }
}

}  // namespace

int status_command(std::span<char*> arguments) {
  CLI::App app("Shows the daemon, its images, the cache and the interpreters", "kiln status");
  bool as_json = false;
  app.add_flag(
      "--json", as_json,
      "one JSON document (keys daemon, interpreters, images, roots, imported_directories, unwatched_imports, "
      "overflows, cache, limits)");
  if (const auto code = parse_arguments(app, arguments)) return *code;
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
  if (as_json) {
    std::printf("%s\n", json_text(to_json(*status)).c_str());
  } else {
    print_screen(*status);
  }
  return kExitDone;
}

}  // namespace kiln
