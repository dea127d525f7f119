// `kiln list`: the bytecode files that Kiln knows of, and how they are.
#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>
#include <cstdio>

#include "client/command.h"
#include "client/connection.h"
#include "client/current_path.h"
#include "client/printable.h"
#include "common/arguments.h"
#include "common/json_text.h"
#include "common/print_error.h"

namespace kiln {
namespace {

namespace json = boost::json;
using Entry = proto::ListReply::Entry;

json::object to_json(const Entry& entry) {
  json::object object{{"source", entry.source()}, {"pyc", entry.pyc()},           {"python", entry.python()},
                      {"tag", entry.tag()},       {"optimize", entry.optimize()}, {"state", entry.state()}};
  if (!entry.error_type().empty()) {
    object["error"] = {{"type", entry.error_type()},
                       {"message", entry.error_message()},
                       {"line", entry.line()},
                       {"column", entry.column()}};
  }
  if (!entry.warnings().empty()) object["warnings"] = json::string(entry.warnings());
  return object;
}

// "stale   /app/a.py cpython-311", with the place and text of an error behind it.
void print_line(const Entry& entry) {
  std::printf("%-6s  %s  %s", entry.state().c_str(), printable(entry.source()).c_str(), entry.tag().c_str());
  if (entry.optimize() > 0) std::printf(" opt-%d", entry.optimize());
  if (!entry.error_type().empty()) {
    std::printf("  %d:%d: %s: %s", entry.line(), entry.column(), entry.error_type().c_str(),
                printable(entry.error_message()).c_str());
  }
  std::putchar('\n');
}

// Calls VISIT for each entry as it comes.
template <class Visit>
Result<void> ask(const std::string& state, const std::vector<std::string>& paths, Visit visit) {
  proto::Request request;
  request.mutable_list()->set_state(state);
  for (const auto& path : TRY(absolute_paths(paths))) request.mutable_list()->add_paths(path);
  Connection connection = TRY(Connection::open_or_start());
  TRY_VOID(connection.send(std::move(request)));
  while (true) {
    const proto::Reply reply = TRY(connection.receive());
    for (const auto& entry : reply.list().entries()) visit(entry);
    if (!reply.has_list() || reply.list().last()) return {};
  }
}

}  // namespace

int list_command(std::span<char*> arguments) {
  CLI::App app("Lists the bytecode files that Kiln knows of, by source", "kiln list");
  std::string state;
  std::vector<std::string> paths;
  bool as_json = false;
  app.add_option("PATH", paths, "sources, or directories with all below them (default: everything)")
      ->type_name("");
  app.add_option("--state", state, "only these: fresh, stale, error, orphan")
      ->type_name("STATE")
      ->check(CLI::IsMember({"fresh", "stale", "error", "orphan"}));
  app.add_flag("--json", as_json,
               "one JSON array of objects (keys source, pyc, python, tag, optimize, state, error, warnings)");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const char* before = "[";  // of the next entry
  const auto done = ask(state, paths, [&](const Entry& entry) {
    if (!as_json) return print_line(entry);
    std::printf("%s%s", before, json_text(to_json(entry)).c_str());
    before = ",\n ";
  });
  if (!done) {
    print_error(done.error());
    return kExitUnable;
  }
  if (as_json) std::puts(*before == '[' ? "[]" : "]");
  return kExitDone;
}

}  // namespace kiln
