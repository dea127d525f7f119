// `kiln explain`: why a file's bytecode is as it is, and which programs use it.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string_view>

#include "client/command.h"
#include "client/configuration_mistake.h"
#include "client/connection.h"
#include "client/current_path.h"
#include "client/daemon_cache.h"
#include "client/explain_report.h"
#include "client/explain_run.h"
#include "client/interpreter_choice.h"
#include "common/arguments.h"
#include "common/json_text.h"
#include "common/print_error.h"
#include "common/screen.h"
#include "common/shell_word.h"
#include "common/suggestion.h"

namespace kiln {
namespace {

// A device, a pipe: directories the daemon tells by itself.
Result<void> check_may_be_source(const std::string& path) {
  std::error_code unknown;
  if (!std::filesystem::is_other(path, unknown)) return {};
  return Error{Reason::not_found, path + " is not a file", "kiln list"};
}

Result<proto::ExplainReply> ask(const std::string& path) {
  TRY_VOID(check_may_be_source(path));
  proto::Request request;
  request.mutable_explain()->set_path(TRY(absolute_path_of(path)));
  warn_of_configuration({request.explain().path()});
  Connection connection = TRY(Connection::open_or_start());
  TRY_VOID(connection.send(std::move(request)));
  return TRY(connection.receive()).explain();
}

void print(const proto::ExplainReply& reply, bool own_index, bool as_json) {
  if (as_json) {
    auto document = explanation_json(reply);
    if (own_index) document["own_index"] = true;
    std::puts(json_text(document).c_str());
    return;
  }
  std::error_code gone;
  const auto usual = choose_interpreter();
  const ExplainReader reader{std::time(nullptr), std::filesystem::current_path(gone).string(),
                             usual ? std::filesystem::canonical(usual->path, gone).string() : "",
                             terminal_columns(STDOUT_FILENO)};
  show(explanation_text(reply, reader), Indented::others);
}

// `kiln explain rn main.py`: one file is taken, and the first word is none.
std::optional<Error> misspelt_run(std::span<char*> arguments) {
  constexpr std::array<std::string_view, 1> kWords{"run"};
  if (arguments.size() < 2 || !suggestion_for(arguments[0], kWords)) return std::nullopt;
  std::error_code ignored;
  if (std::filesystem::exists(arguments[0], ignored)) return std::nullopt;
  std::string command = "kiln explain run";
  for (const char* const argument : arguments.subspan(1)) command += " " + shell_argument(argument);
  return Error{Reason::usage, std::string(arguments[0]) + " is no file; did you mean run?", command};
}

}  // namespace

int explain_command(std::span<char*> arguments) {
  if (!arguments.empty() && std::string_view(arguments[0]) == "run")
    return explain_run_command(arguments.subspan(1));
  if (const auto misspelt = misspelt_run(arguments)) {
    print_error(*misspelt);
    return kExitUsage;
  }
  CLI::App app("Says why a file's bytecode is fresh, stale or missing, and which programs import it",
               "kiln explain");
  std::string path;
  bool as_json = false;
  app.add_option("FILE", path, "a source, or its bytecode")->type_name("")->required();
  app.add_flag(
      "--json", as_json,
      "one JSON document (keys version, source, exists, entries, imported_by, imported_by_count, "
      "run_as_program, watched; own_index, if the daemon's is not the cache's; missing, if FILE is bytecode "
      "that is not there)");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto reply = ask(path);
  const auto other = not_keeping_here();  // of what it does not know, the keeper may know
  if (other && !as_json) print_note(other->message);
  if (!reply) {
    print_error(reply.error());
    return exit_code(reply.error());
  }
  print(*reply, other.has_value(), as_json);
  return kExitDone;
}

}  // namespace kiln
