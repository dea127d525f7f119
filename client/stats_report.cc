#include "client/stats_report.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "common/reason.h"

namespace kiln {
namespace {

namespace json = boost::json;
using Made = proto::StatsReply::Made;

constexpr int kFormat = 1;  // of the JSON document

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

// Counts of different times may overlap by a run.
std::uint64_t bare_runs(const proto::StatsReply& stats, const Totals& totals) {
  return totals.served - std::min(totals.served, stats.warm());
}

std::uint64_t total(const Made& made) {
  return made.compiled() + made.restored() + made.fresh() + made.errors();
}

std::string whole_line(const char* label, std::uint64_t count, const std::string& about = {}) {
  char line[64];
  std::snprintf(line, sizeof line, "%-22s %9llu", label, static_cast<unsigned long long>(count));
  return line + about + "\n";
}

// "  no-image   12 /   40 (30.00 %)  ..."
std::string part_line(const std::string& label, std::uint64_t part, std::uint64_t whole,
                      const std::string& about = {}) {
  const double percent = whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  char line[96];
  std::snprintf(line, sizeof line, "%-22s %9llu / %9llu (%6.2f %%)", label.c_str(),
                static_cast<unsigned long long>(part), static_cast<unsigned long long>(whole), percent);
  return line + about + "\n";
}

std::string since_text(std::int64_t since_s) {
  const auto since = static_cast<std::time_t>(since_s);
  char text[32]{};
  if (since == 0 || std::strftime(text, sizeof text, "  since %Y-%m-%d %H:%M", std::localtime(&since)) == 0)
    return {};
  return text;
}

std::string runs_text(const proto::StatsReply& stats) {
  const Totals totals = totals_of(stats);
  std::string text = whole_line("Runs", totals.runs(), since_text(stats.since_s()));
  text += part_line("  Served", totals.served, totals.runs());
  text += part_line("    Warm", std::min(stats.warm(), totals.served), totals.served);
  text += part_line("    Bare", bare_runs(stats, totals), totals.served);
  text += part_line("  Executed", totals.executed, totals.runs());
  for (const auto& count : stats.counts()) {
    const auto reason = reason_from_word(count.reason());
    if (reason == Reason::served) continue;
    const std::string about = reason ? "  " + std::string(wording(*reason)) : "";
    text += part_line("    " + count.reason(), count.runs(), totals.executed, about);
  }
  return text;
}

std::string made_text(const char* label, const Made& made, bool counts_fresh) {
  const std::uint64_t all = total(made);
  std::string text = whole_line(label, all);
  if (counts_fresh) text += part_line("  Fresh", made.fresh(), all);
  text += part_line("  Restored", made.restored(), all);
  text += part_line("  Compiled", made.compiled(), all);
  return text + part_line("  Errors", made.errors(), all);
}

std::string time_line(const char* label, std::int64_t us, const std::string& about = {}) {
  constexpr std::int64_t kShown_us = 10'000;  // or "-0.00 s" would be shown
  char line[64];
  std::snprintf(line, sizeof line, "%-22s %9.2f s", label, static_cast<double>(us / kShown_us) / 100);
  return line + (about.empty() ? about : "  " + about) + "\n";
}

std::string saved_text(const proto::StatsReply& stats) {
  const auto warm = static_cast<std::int64_t>(stats.warm_saved_us());
  const auto restored = saved_by_restoring(stats);
  std::string text = time_line("Time saved", warm + restored.value_or(0), "where it is known");
  text += time_line("  Warm runs", warm, "computing that was done before they began");
  if (restored) {
    text += time_line("  Restored files", *restored,
                      "what compiling as much source took here, less what restoring took");
  }
  return text;
}

json::object to_json(const Made& made) {
  return {{"compiled", made.compiled()},
          {"restored", made.restored()},
          {"fresh", made.fresh()},
          {"errors", made.errors()}};
}

}  // namespace

std::optional<std::int64_t> saved_by_restoring(const proto::StatsReply& stats) {
  if (stats.restored_bytes() == 0) return 0;
  if (stats.compiled_bytes() == 0) return std::nullopt;
  const double us_a_byte =
      static_cast<double>(stats.compiled_us()) / static_cast<double>(stats.compiled_bytes());
  const double compiling = us_a_byte * static_cast<double>(stats.restored_bytes());
  return static_cast<std::int64_t>(compiling) - static_cast<std::int64_t>(stats.restored_us());
}

std::string stats_text(const proto::StatsReply& stats) {
  return runs_text(stats) + made_text("Precompiled files", stats.precompiled(), true) +
         made_text("Files made by itself", stats.by_itself(), false) + saved_text(stats);
}

json::object stats_json(const proto::StatsReply& stats) {
  const Totals totals = totals_of(stats);
  json::object reasons;
  for (const auto& count : stats.counts()) {
    if (count.reason() != word(Reason::served)) reasons[count.reason()] = count.runs();
  }
  json::object by_itself = to_json(stats.by_itself());
  by_itself.erase("fresh");
  const auto restored = saved_by_restoring(stats);
  return {{"version", kFormat},
          {"runs", totals.runs()},
          {"served", totals.served},
          {"warm", std::min(stats.warm(), totals.served)},
          {"bare", bare_runs(stats, totals)},
          {"executed", totals.executed},
          {"executed_by_reason", std::move(reasons)},
          {"precompiled", to_json(stats.precompiled())},
          {"by_itself", std::move(by_itself)},
          {"saved_us", json::object{{"warm", stats.warm_saved_us()},
                                    {"restored", restored ? json::value(*restored) : json::value(nullptr)}}},
          {"since_s", stats.since_s()}};
}

}  // namespace kiln
