// `kiln list`: the bytecode files that Kiln knows of, and how they are.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

#include "client/command.h"
#include "client/configuration_mistake.h"
#include "client/connection.h"
#include "client/current_path.h"
#include "client/daemon_cache.h"
#include "client/interpreter_check.h"
#include "client/interpreter_choice.h"
#include "client/interpreter_search.h"
#include "client/known_path.h"
#include "client/list_report.h"
#include "client/output.h"
#include "common/arguments.h"
#include "common/print_error.h"
#include "common/screen.h"

namespace kiln {
namespace {

struct ListArguments {
  std::vector<std::string> paths;
  std::string state;
  std::optional<std::string> python;
  std::string sort = "path";
  std::uint64_t limit = 0;  // 0: none
  bool json = false;
};

// What is to be mended first.
int urgency(const ListEntry& entry) {
  constexpr std::string_view kStates[] = {"error", "stale", "orphan", "fresh"};
  return static_cast<int>(std::ranges::find(kStates, entry.state()) - std::begin(kStates));
}

struct Order {
  std::string_view name;
  bool (*is_before)(const ListEntry&, const ListEntry&);
  ListMeasure measure = ListMeasure::none;
};

// By path it comes.
constexpr Order kOrders[] = {
    {"state", [](const ListEntry& a, const ListEntry& b) { return urgency(a) < urgency(b); }},
    {"size", [](const ListEntry& a, const ListEntry& b) { return a.size() > b.size(); }, ListMeasure::size},
    {"time", [](const ListEntry& a, const ListEntry& b) { return a.modified_ns() > b.modified_ns(); },
     ListMeasure::time},
    {"cost", [](const ListEntry& a, const ListEntry& b) { return a.made_us() > b.made_us(); },
     ListMeasure::cost},
};

// Of an interpreter that is gone the bytecode is still listed, by its path.
Result<std::string> binary_of(const std::string& python) {
  const bool is_gone = python.find('/') != std::string::npos && ::access(python.c_str(), F_OK) != 0;
  if (is_gone) return absolute_path_of(python);
  const auto path = interpreter_behind(TRY(choose_interpreter(python)).path);
  std::error_code failed;
  const auto real = std::filesystem::canonical(path, failed);
  return failed ? path : real.string();
}

Result<proto::Request> build_request(const ListArguments& arguments, const std::vector<std::string>& paths) {
  proto::Request request;
  auto& list = *request.mutable_list();
  list.set_state(arguments.state);
  warn_of_configuration(paths);
  for (const auto& path : paths) list.add_paths(path);
  if (arguments.python) list.set_python(TRY(binary_of(*arguments.python)));
  if (arguments.sort == "path") list.set_limit(arguments.limit);
  return request;
}

// Calls VISIT for each entry as it comes.
template <class Visit>
Result<void> ask(proto::Request request, Visit visit) {
  Connection connection = TRY(Connection::open_or_start());
  TRY_VOID(connection.send(std::move(request)));
  while (true) {
    proto::Reply reply = TRY(connection.receive());
    for (auto& entry : *reply.mutable_list()->mutable_entries()) visit(entry);
    if (!reply.has_list() || reply.list().last()) return {};
  }
}

ListMeasure measure_of(const std::string& sort) {
  const auto* const order = std::ranges::find(kOrders, sort, &Order::name);
  return order == std::end(kOrders) ? ListMeasure::none : order->measure;
}

// With what is to be known of who was asked.
void finish(ListReport& report, const ListArguments& arguments) {
  const auto other = not_keeping_here();
  report.finish(other.has_value());
  if (other && !arguments.json) print_note(other->message);
}

Result<bool> has_compiled(const std::string& python) {
  proto::Request request;
  request.mutable_list()->set_python(TRY(binary_of(python)));
  request.mutable_list()->set_limit(1);
  bool any = false;
  TRY_VOID(ask(std::move(request), [&](const ListEntry&) { any = true; }));
  return any;
}

// What has compiled nothing may be no interpreter at all. One that is gone has compiled something.
Result<void> check_compiler(const std::string& python) {
  const auto chosen = choose_interpreter(python);
  if (chosen) return check_is_interpreter(chosen->path, python);
  return TRY(has_compiled(python)) ? Result<void>() : chosen.error();
}

// What comes by path is printed as it comes. PATHS: absolute; none: everything.
Result<void> list(const ListArguments& arguments, const std::vector<std::string>& paths, ListReport& report) {
  auto request = TRY(build_request(arguments, paths));
  const auto* const order = std::ranges::find(kOrders, arguments.sort, &Order::name);
  if (order == std::end(kOrders)) {
    TRY_VOID(ask(std::move(request), [&](const ListEntry& entry) { report.add(entry); }));
    if (report.is_empty() && arguments.python) TRY_VOID(check_compiler(*arguments.python));
    finish(report, arguments);
    return {};
  }
  std::vector<ListEntry> entries;
  TRY_VOID(ask(std::move(request), [&](ListEntry& entry) { entries.push_back(std::move(entry)); }));
  if (entries.empty() && arguments.python) TRY_VOID(check_compiler(*arguments.python));
  std::ranges::stable_sort(entries, order->is_before);
  if (arguments.limit != 0 && entries.size() > arguments.limit) entries.resize(arguments.limit);
  for (const ListEntry& entry : entries) report.add(entry);
  finish(report, arguments);
  return {};
}

// As list(), of those paths that are known. The exit code: a path that is not must be mended.
Result<int> list_known(const ListArguments& arguments, ListReport& report) {
  const auto paths = TRY(absolute_paths(arguments.paths));
  const auto known = TRY(known_ones_of(paths, "kiln list"));
  const bool any = paths.empty() || !known.empty();
  const auto outermost = TRY(outermost_paths(known));
  if (any) TRY_VOID(list(arguments, outermost, report));
  return known.size() == paths.size() ? kExitDone : kExitFix;
}

void define_options(CLI::App& app, ListArguments& parsed) {
  app.add_option("PATH", parsed.paths, "sources, or directories with all below them (default: everything)")
      ->type_name("");
  take_words(
      app.add_option("--state", parsed.state, "only these: fresh, stale, error, orphan")->type_name("STATE"),
      {"fresh", "stale", "error", "orphan"});
  app.add_option("--python", parsed.python,
                 "only those of this interpreter: a path, a version such as 3.12, or a name on PATH")
      ->type_name("PY");
  take_words(
      app.add_option(
             "--sort", parsed.sort,
             "by path, or what comes first by state: errors; size: the largest; time: what was written last; "
             "cost: what took Kiln longest to make; the last three are shown, too")
          ->type_name("ORDER"),
      {"path", "state", "size", "time", "cost"});
  app.add_option("--limit", parsed.limit, "only the first N")
      ->type_name("N")
      ->check([](const std::string& text) { return check_count(text, 1); });
  app.add_flag("--json", parsed.json,
               "one JSON document (keys version, entries; of each source, pyc, python, tag, optimize, state, "
               "overlaid, size, modified_ns, made_us, restored, error, warnings; own_index, if the daemon's "
               "is not the "
               "cache's)");
}

}  // namespace

int list_command(std::span<char*> arguments) {
  CLI::App app("Lists the bytecode files that Kiln knows of, by source", "kiln list");
  ListArguments parsed;
  define_options(app, parsed);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto form = parsed.json ? ListReport::Form::json : ListReport::Form::lines;
  ListReport report(form, {terminal_columns(STDOUT_FILENO), wants_colour(), measure_of(parsed.sort)},
                    [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); });
  const auto listed = list_known(parsed, report);
  if (!listed) {
    print_error(listed.error());
    return exit_code(listed.error());
  }
  if (*listed == kExitDone && parsed.python && parsed.state.empty() && report.is_empty())
    print_warning({Reason::not_found, "Kiln knows nothing there that " + *parsed.python + " has compiled",
                   "kiln status"});
  return *listed;
}

}  // namespace kiln
