// `kiln stats`: what became of runs and of files, in counts, and what time that saved.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "client/command.h"
#include "client/connection.h"
#include "client/stats_report.h"
#include "common/arguments.h"
#include "common/json_text.h"
#include "common/print_error.h"
#include "common/screen.h"

namespace kiln {
namespace {

Result<proto::StatsReply> ask(bool reset) {
  Connection connection = TRY(Connection::open_or_start());
  proto::Request request;
  request.mutable_stats()->set_reset(reset);
  TRY_VOID(connection.send(std::move(request)));
  return TRY(connection.receive()).stats();
}

}  // namespace

int stats_command(std::span<char*> arguments) {
  CLI::App app(
      "How many runs were served, and how many executed, by reason; what became of files; and the time that "
      "this saved, where it is known",
      "kiln stats");
  bool as_json = false;
  bool reset = false;
  app.add_flag("--json", as_json,
               "one JSON document (keys version, runs, served, warm, bare, executed, executed_by_reason, "
               "precompiled, by_itself, saved_us, since_s)");
  app.add_flag("--reset", reset, "count from zero from now on");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto stats = ask(reset);
  if (!stats) {
    print_error(stats.error());
    return exit_code(stats.error());
  }
  if (as_json) {
    std::printf("%s\n", json_text(stats_json(*stats)).c_str());
  } else {
    show(stats_text(*stats));
  }
  return kExitDone;
}

}  // namespace kiln
