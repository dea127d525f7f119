// `kiln daemon start|stop|restart|reload|run|logs`.
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <string_view>
#include <vector>

#include "client/command.h"
#include "client/configuration_mistake.h"
#include "client/connection.h"
#include "client/daemon_cache.h"
#include "client/daemon_log.h"
#include "client/daemon_start.h"
#include "client/installation.h"
#include "common/arguments.h"
#include "common/cache_keeper.h"
#include "common/config.h"
#include "common/paths.h"
#include "common/print_error.h"
#include "common/printable.h"
#include "common/screen.h"
#include "common/shell_word.h"
#include "common/suggestion.h"

namespace kiln {
namespace {

constexpr char kHelp[] =
    "Usage: kiln daemon ACTION\n"
    "\n"
    "  start     start the daemon unless it runs (runs and requests do so by themselves)\n"
    "  stop      end it; programs that run are not disturbed\n"
    "  restart   stop, then start\n"
    "  reload    have it read its configuration again, log.level included\n"
    "  run       run it here, in the foreground, logging to standard error\n"
    "  logs      print its log: -n N for its last N lines alone, --follow for what is added, too, --json\n"
    "\n"
    "The environment of a daemon is that of its start; restart takes the present one. (SIGHUP is as good as\n"
    "reload, but ends one that runs in a terminal's foreground.)\n"
    "\n"
    "  -h, --help  this text\n";

int report(const Result<void>& result, const char* done) {
  if (!result) {
    print_error(result.error());
    return kExitUnable;
  }
  std::puts(done);
  return kExitDone;
}

int start() {
  const auto connection = Connection::open_or_start();
  warn_of_configuration({"/"});  // the daemon goes by the user's own file alone
  return report(connection ? Result<void>{} : Result<void>{connection.error()}, "the daemon runs");
}

// False: none was there. One that a run before this command is starting is ended, too.
Result<bool> stop_if_any() {
  const auto awaited = await_starts();
  const auto stopped = stop_daemon();
  if (stopped) return true;
  if (stopped.error().reason != Reason::no_daemon) return stopped.error();
  if (!awaited) return awaited.error();
  return false;
}

int stop() {
  const auto stopped = stop_if_any();
  if (!stopped) return report(stopped.error(), "");
  std::puts(*stopped ? "the daemon has stopped" : "no daemon was running");
  return kExitDone;
}

// A daemon starts without its index, too, but has nothing to answer from.
Result<void> check_index() {
  const std::string cache = TRY(cache_dir());
  for (const std::string& path : {cache + "/index.db", keeper_lock_path(cache)}) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
      return Error{Reason::system, printable(path) + " is no file", move_aside(path)};
  }
  return {};
}

// Else there would be none in the end. A mistake in the configuration keeps none from starting, but from
// being what the one is that runs.
Result<void> check_successor() {
  TRY(load_config("/"));
  TRY_VOID(check_what_a_daemon_needs());
  TRY_VOID(check_index());
  return {};
}

int restart() {
  const auto able = Connection::open_living() ? check_successor() : Result<void>{};
  if (!able) {
    const Error& why = able.error();
    print_error({why.reason, why.message + "; the daemon that is running goes on as it is", why.hint});
    return exit_code(why);
  }
  const auto stopped = stop_if_any();
  return stopped ? start() : report(stopped.error(), "");
}

// Returns what mistake it met: then the former settings hold.
Result<std::string> reload_daemon() {
  Connection connection = TRY(Connection::open_living());
  proto::Request request;
  request.mutable_reload();
  TRY_VOID(connection.send(std::move(request)));
  TRY_VOID(connection.await_answer());
  return TRY(connection.receive()).reload().configuration_error();
}

int reload() {
  const auto mistake = reload_daemon();
  if (!mistake && mistake.error().reason == Reason::no_daemon) {
    std::puts("no daemon was running");
    return kExitDone;
  }
  if (!mistake) return report(mistake.error(), "");
  if (mistake->empty()) return report({}, "the daemon has read its configuration again");
  print_error({Reason::config, *mistake + "; the daemon goes by its former settings", "kiln config"});
  return kExitFix;
}

int run() {
  const auto bin = own_bin_dir();
  if (!bin) return report(bin.error(), "");
  const std::string binary = *bin + "/kilnd";
  ::execl(binary.c_str(), "kilnd", "--foreground", nullptr);
  Error error = errno_error("cannot start " + binary);
  error.hint = install_again(*bin, binary);
  print_error(error);
  return kExitUnable;
}

int logs(std::span<char*> arguments) {
  CLI::App app("Prints the daemon's log, from the oldest line that is kept", "kiln daemon logs");
  std::optional<std::size_t> lines;
  bool follow = false;
  bool as_json = false;
  app.add_option("-n,--lines", lines, "only the last N lines")
      ->type_name("N")
      ->check([](const std::string& text) { return check_count(text, 0); });
  app.add_flag("-f,--follow", follow, "then what is added, until Ctrl-C");
  app.add_flag("--json", as_json, "one JSON object a line (keys version, time, pid, level, message)");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto dir = cache_dir();
  if (!dir) return report(dir.error(), "");
  const DaemonLog log(*dir, as_json);
  const auto printed = follow ? log.follow(lines) : log.print(lines);
  if (printed) return kExitDone;
  const auto is_its_cache = check_daemon_cache(*dir);
  const Error& error = is_its_cache ? printed.error() : is_its_cache.error();
  print_error(error);
  return exit_code(error);
}

int wrong_usage(const std::string& what) {
  print_error({Reason::usage, what, "kiln daemon --help"});
  return kExitUsage;
}

struct Action {
  std::string_view name;
  int (*run)();
};

constexpr Action kActions[] = {
    {"start", start}, {"stop", stop}, {"restart", restart}, {"reload", reload}, {"run", run}};

std::string meant(const std::string& name) {
  std::vector<std::string_view> names{"logs"};
  for (const Action& action : kActions) names.push_back(action.name);
  return did_you_mean(name, names);
}

}  // namespace

int daemon_command(std::span<char*> arguments) {
  const std::string name = arguments.empty() ? "" : arguments[0];
  if (name == "logs") return logs(arguments.subspan(1));
  for (const std::string_view argument : arguments) {
    if (argument != "-h" && argument != "--help") continue;
    show(kHelp);
    return kExitDone;
  }
  if (arguments.size() > 1) return wrong_usage("unexpected argument " + std::string(arguments[1]));
  for (const Action& action : kActions) {
    if (action.name == name) return action.run();
  }
  if (name == "status") {
    print_error({Reason::usage, "status is a command, and no action", "kiln status"});
    return kExitUsage;
  }
  return wrong_usage(name.empty() ? "which action?" : "unknown action " + name + meant(name));
}

}  // namespace kiln
