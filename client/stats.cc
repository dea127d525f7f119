// `kiln stats`: how many runs an image served, and how many were executed, by reason.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>

#include "client/command.h"
#include "client/connection.h"
#include "common/arguments.h"
#include "common/json_text.h"
#include "common/print_error.h"

namespace kiln {
namespace {

namespace json = boost::json;

struct Totals {
  std::uint64_t served = 0;
  std::uint64_t executed = 0;

  std::uint64_t runs() const { return served + executed; }
};

Totals totals_of(const proto::StatsReply& stats) {
  Totals totals;
  for (const auto& count : stats.counts()) {
    (count.reason() == word(Reason::served) ? totals.served : totals.executed) += count.runs();
  }
  return totals;
}

Result<proto::StatsReply> ask(bool reset) {
  Connection connection = TRY(Connection::open_or_start());
  proto::Request request;
  request.mutable_stats()->set_reset(reset);
  TRY_VOID(connection.send(std::move(request)));
  return TRY(connection.receive()).stats();
}

json::object to_json(const proto::StatsReply& stats) {
  const Totals totals = totals_of(stats);
  json::object reasons;
  for (const auto& count : stats.counts()) {
    if (count.reason() != word(Reason::served)) reasons[count.reason()] = count.runs();
  }
  return {{"runs", totals.runs()},
          {"served", totals.served},
          {"executed", totals.executed},
          {"executed_by_reason", std::move(reasons)},
          {"since_s", stats.since_s()}};
}

// "  no-image   12 /   40 (30.00 %)  ..."
void print_line(const std::string& label, std::uint64_t part, std::uint64_t whole, const std::string& about) {
  const double percent = whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  std::printf("%-24s %9llu / %9llu (%6.2f %%)%s\n", label.c_str(), static_cast<unsigned long long>(part),
              static_cast<unsigned long long>(whole), percent, about.c_str());
}

void print_lines(const proto::StatsReply& stats) {
  const Totals totals = totals_of(stats);
  std::printf("%-24s %9llu", "Runs", static_cast<unsigned long long>(totals.runs()));
  const std::time_t since = static_cast<std::time_t>(stats.since_s());
  char text[32]{};
  if (since != 0 && std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", std::localtime(&since)) != 0)
    std::printf("  since %s", text);
  std::puts("");
  print_line("  Served", totals.served, totals.runs(), {});
  print_line("  Executed", totals.executed, totals.runs(), {});
  for (const auto& count : stats.counts()) {
    const auto reason = reason_from_word(count.reason());
    if (reason == Reason::served) continue;
    print_line("    " + count.reason(), count.runs(), totals.executed,
               reason ? "  " + std::string(wording(*reason)) : "");
  }
}

}  // namespace

int stats_command(std::span<char*> arguments) {
  CLI::App app("How many runs an image served, and how many were executed, by reason", "kiln stats");
  bool as_json = false;
  bool reset = false;
  app.add_flag("--json", as_json,
               "one JSON document (keys runs, served, executed, executed_by_reason, since_s)");
  app.add_flag("--reset", reset, "count from zero from now on");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto stats = ask(reset);
  if (!stats) {
    print_error(stats.error());
    return exit_code(stats.error());
  }
  if (as_json) {
    std::printf("%s\n", json_text(to_json(*stats)).c_str());
  } else {
    print_lines(*stats);
  }
  return kExitDone;
}

}  // namespace kiln
