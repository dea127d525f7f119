// `kiln daemon start|stop|restart|run|logs`.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string_view>

#include "client/command.h"
#include "client/connection.h"
#include "client/daemon_start.h"
#include "common/paths.h"
#include "common/print_error.h"

namespace kiln {
namespace {

constexpr char kHelp[] =
    "Usage: kiln daemon ACTION\n"
    "\n"
    "  start     start the daemon unless it runs (runs and requests do so by themselves)\n"
    "  stop      end it; programs that run are not disturbed\n"
    "  restart   stop, then start\n"
    "  run       run it here, in the foreground, logging to standard error\n"
    "  logs      print its log\n"
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
  return report(connection ? Result<void>{} : Result<void>{connection.error()}, "the daemon runs");
}

int stop() {
  const auto stopped = stop_daemon();
  if (!stopped && stopped.error().reason == Reason::no_daemon) {
    std::puts("no daemon was running");
    return kExitDone;
  }
  return report(stopped, "the daemon has stopped");
}

int restart() {
  const auto stopped = stop_daemon();
  if (!stopped && stopped.error().reason != Reason::no_daemon) return report(stopped, "");
  return start();
}

int run() {
  const auto bin = own_bin_dir();
  if (!bin) return report(bin.error(), "");
  const std::string binary = *bin + "/kilnd";
  ::execl(binary.c_str(), "kilnd", "--foreground", nullptr);
  print_error(errno_error("cannot start " + binary));
  return kExitUnable;
}

int logs() {
  const auto dir = cache_dir();
  if (!dir) return report(dir.error(), "");
  std::ifstream log(log_path(*dir));
  if (!log) {
    print_error({Reason::not_found, "there is no log at " + log_path(*dir), "kiln daemon start"});
    return kExitFix;
  }
  if (log.peek() != std::ifstream::traits_type::eof()) std::cout << log.rdbuf();
  return kExitDone;
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
    {"start", start}, {"stop", stop}, {"restart", restart}, {"run", run}, {"logs", logs}};

}  // namespace

int daemon_command(std::span<char*> arguments) {
  for (const std::string_view argument : arguments) {
    if (argument != "-h" && argument != "--help") continue;
    std::fputs(kHelp, stdout);
    return kExitDone;
  }
  if (arguments.size() > 1) return wrong_usage("unexpected argument " + std::string(arguments[1]));
  const std::string_view name = arguments.empty() ? "" : arguments[0];
  for (const Action& action : kActions) {
    if (action.name == name) return action.run();
  }
  return wrong_usage(name.empty() ? "which action?" : "unknown action " + std::string(name));
}

}  // namespace kiln
