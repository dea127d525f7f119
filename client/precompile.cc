// `kiln precompile`: has the daemon compile files and directories, and shows how it goes.
#include "client/precompile.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>
#include <utility>

#include "client/command.h"
#include "client/connection.h"
#include "client/current_path.h"
#include "client/interpreter_choice.h"
#include "client/own_command.h"
#include "client/own_umask.h"
#include "client/precompile_report.h"
#include "common/arguments.h"
#include "common/config.h"
#include "common/paths.h"
#include "common/print_error.h"
#include "common/printable.h"
#include "common/shell_word.h"

namespace kiln {
namespace {

constexpr unsigned kMaxJobs = 256;

void define_options(CLI::App& app, PrecompileArguments& parsed) {
  app.add_option("PATH", parsed.paths, "files and directories; - reads a list of them, one a line")
      ->type_name("")
      ->required();
  app.add_option(
         "--python", parsed.pythons,
         "an interpreter: a path, name, version (3.12) or virtual environment; for several of them more than "
         "once (else KILN_PYTHON, $VIRTUAL_ENV, python3 on PATH)")
      ->type_name("PY")
      ->allow_extra_args(false);
  take_number(app.add_option("-j,--jobs", parsed.jobs, "compile this many files at once (0: one a CPU)")
                  ->type_name("N"),
              0, kMaxJobs);
  take_number(
      app.add_option("-o", parsed.levels,
                     "optimization level, as of python -O: 0, 1, 2; may be given more than once (else "
                     "PYTHONOPTIMIZE, or 0)")
          ->type_name("LEVEL")
          ->allow_extra_args(false),
      0, 2);
  take_words(
      app.add_option(
             "--invalidation-mode", parsed.invalidation_mode,
             "timestamp, checked-hash or unchecked-hash (else as the present file has it, or timestamp; "
             "checked-hash where SOURCE_DATE_EPOCH is set)")
          ->type_name("MODE"),
      {"timestamp", "checked-hash", "unchecked-hash"});
  app.add_flag("--legacy", parsed.legacy, "write NAME.pyc beside the source, as compileall -b");
  app.add_option(
         "--exclude", parsed.exclude,
         "leave out what matches: a name, or, with a slash in it, the way down from PATH; NAME/ is NAME")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  app.add_flag("--force", parsed.force, "compile what is fresh, too");
  app.add_flag("--check", parsed.check,
               "write nothing; name what is missing or stale, and exit with 1 if it is");
  app.add_flag("-q,--quiet", parsed.quiet, "print errors only");
  app.add_flag(
      "--json", parsed.json,
      "one JSON document (keys version, compiled, restored, fresh, overlaid, elapsed_s, errors, warnings, "
      "left_out; with --check stale)");
}

// What the configuration of its project leaves out below a target. Of a file nothing is left out, but a
// mistake there is told all the same. LOOKED_AT: directories whose files have been; there may be very many
// files.
Result<void> add_exclusions(proto::PrecompileRequest::Target& target, std::set<std::string>& looked_at) {
  std::error_code ignored;
  const bool is_directory = std::filesystem::is_directory(target.path(), ignored);
  const std::string path = TRY(absolute_path_of(target.path()));
  if (!is_directory && !looked_at.insert(path.substr(0, path.rfind('/'))).second) return {};
  const Config config = TRY(load_config(path));
  if (!is_directory) return {};
  for (const auto& pattern : patterns_below(path, config.precompile_exclude)) target.add_exclude(pattern);
  return {};
}

Result<void> check_is_source(const std::string& path) {
  const bool is_bytecode = path.ends_with(".pyc") || path.ends_with(".pyo");
  std::error_code ignored;
  if (!is_bytecode || std::filesystem::is_directory(path, ignored)) return {};
  return Error{Reason::bad_pyc, printable(path) + " is bytecode already: it is its source that is compiled",
               "kiln inspect " + shell_word(path)};
}

Result<void> add_pythons(const PrecompileArguments& arguments, proto::PrecompileRequest& precompile) {
  if (arguments.pythons.empty()) {
    if (const auto broken = broken_environment()) print_warning(*broken);
    precompile.add_python(TRY(choose_interpreter()).path);
  }
  for (const auto& python : arguments.pythons) {
    precompile.add_python(TRY(choose_interpreter(python)).path);
  }
  return {};
}

// Unlike absolute_path_of(), it leaves "..": what lies above a symlink is for the daemon to find out. Nobody
// needs the current directory for a path that is absolute.
Result<std::string> as_absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  std::error_code failed;
  const auto cwd = std::filesystem::current_path(failed);
  if (failed) return Error{Reason::system, "the current directory is gone", "cd \"$HOME\""};
  return absolute_path(path, cwd.string());
}

Result<proto::Request> build_request(const PrecompileArguments& arguments) {
  proto::Request request;
  auto& precompile = *request.mutable_precompile();
  std::set<std::string> looked_at;
  for (const auto& path : with_listed_paths(arguments.paths, std::cin)) {
    if (path.find('\0') != std::string::npos) {
      return Error{Reason::usage, "a NUL byte in the list on standard input: give one path a line",
                   "kiln precompile --help"};
    }
    TRY_VOID(check_is_source(path));
    auto& target = *precompile.add_targets();
    target.set_path(TRY(as_absolute(path)));
    target.set_spelling(path);
    TRY_VOID(add_exclusions(target, looked_at));
  }
  TRY_VOID(add_pythons(arguments, precompile));
  precompile.set_jobs(arguments.jobs);
  precompile.set_umask(own_umask());
  precompile.set_force(arguments.force);
  precompile.set_check(arguments.check);
  precompile.set_legacy(arguments.legacy);
  precompile.set_invalidation(
      wanted_invalidation(arguments.invalidation_mode, std::getenv("SOURCE_DATE_EPOCH")));
  precompile.set_may_fall_back(!arguments.invalidation_mode);
  for (const int level : arguments.levels) precompile.add_optimize(level);
  if (arguments.levels.empty()) precompile.add_optimize(usual_level(std::getenv("PYTHONOPTIMIZE")));
  for (const auto& pattern : arguments.exclude) precompile.add_exclude(pattern);
  const char* prefix = std::getenv("PYTHONPYCACHEPREFIX");
  if (prefix != nullptr && prefix[0] != '\0') precompile.set_pycache_prefix(TRY(as_absolute(prefix)));
  return request;
}

PrecompileReport::Form form_of(const PrecompileArguments& arguments) {
  if (arguments.json) return PrecompileReport::Form::json;
  return arguments.quiet ? PrecompileReport::Form::errors_only : PrecompileReport::Form::lines;
}

Result<proto::PrecompileEvent::Summary> precompile(const PrecompileArguments& arguments) {
  const auto request = TRY(build_request(arguments));
  auto connection = TRY(Connection::open_or_start());
  TRY_VOID(connection.send(request));
  PrecompileReport report(form_of(arguments), arguments.check);
  for (;;) {
    auto reply = connection.receive();
    if (!reply) return reply.error();
    const auto& event = reply->precompile();
    if (!event.has_summary()) {
      report.add(event);
      continue;
    }
    report.finish(event.summary());
    return event.summary();
  }
}

// What CLI11 cannot say. Empty: nothing.
std::string objection_to(const PrecompileArguments& parsed) {
  if (parsed.legacy && (parsed.levels.size() > 1 || parsed.pythons.size() > 1)) {
    return "--legacy has one place for a source's bytecode: give one --python and one -o";
  }
  if (parsed.check && parsed.force) return "--check writes nothing: it cannot go with --force";
  return {};
}

}  // namespace

std::variant<PrecompileArguments, int> parse_precompile_arguments(std::span<char*> arguments) {
  PrecompileArguments parsed;
  CLI::App app(
      "Compiles Python files, and those below directories, to bytecode, as python -m compileall would; "
      "directories such as .git and node_modules are not entered.",
      "kiln precompile");
  define_options(app, parsed);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  if (const auto objection = objection_to(parsed); !objection.empty()) {
    print_error({Reason::usage, objection, "kiln precompile --help"});
    return kExitUsage;
  }
  return parsed;
}

proto::PrecompileRequest::Invalidation wanted_invalidation(const std::optional<std::string>& option,
                                                           const char* source_date_epoch) {
  if (option == "timestamp") return proto::PrecompileRequest::TIMESTAMP;
  if (option == "checked-hash") return proto::PrecompileRequest::CHECKED_HASH;
  if (option == "unchecked-hash") return proto::PrecompileRequest::UNCHECKED_HASH;
  const bool reproducible = source_date_epoch != nullptr && source_date_epoch[0] != '\0';
  return reproducible ? proto::PrecompileRequest::CHECKED_HASH : proto::PrecompileRequest::KEEP;
}

// As get_env_flag of CPython's initconfig.c: what is no number, or less than one, is 1.
int usual_level(const char* python_optimize) {
  const std::string_view text = python_optimize != nullptr ? python_optimize : "";
  if (text.empty()) return 0;
  int level = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), level);
  const bool is_number = failed == std::errc{} && end == text.data() + text.size() && level >= 0;
  return is_number ? std::min(level, 2) : 1;
}

std::vector<std::string> with_listed_paths(const std::vector<std::string>& paths, std::istream& list) {
  std::vector<std::string> all;
  for (const auto& path : paths) {
    if (path != "-") {
      all.push_back(path);
      continue;
    }
    for (std::string line; std::getline(list, line);) {
      if (!line.empty()) all.push_back(line);
    }
  }
  return all;
}

// Why the request as a whole could not be served. It is the daemon that asks an interpreter what it is, and
// we who were told which to take.
std::optional<Error> failure_of(const proto::PrecompileEvent::Summary& summary) {
  if (summary.failure().empty()) return std::nullopt;
  const auto reason = reason_from_word(summary.failure_reason()).value_or(Reason::system);
  Error failure{reason, summary.failure(), summary.failure_hint()};
  if (!failure.hint.empty()) return failure;
  if (reason == Reason::interpreter || reason == Reason::timeout) failure.hint = use_another_interpreter();
  if (reason == Reason::shutting_down) failure.hint = own_command();
  return failure;
}

int exit_code(const proto::PrecompileEvent::Summary& summary) {
  if (const auto failure = failure_of(summary)) return exit_code(*failure);
  return summary.errors() > 0 || summary.stale() > 0 ? kExitFix : kExitDone;
}

int precompile_command(std::span<char*> arguments) {
  const auto parsed = parse_precompile_arguments(arguments);
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  const auto& wanted = std::get<PrecompileArguments>(parsed);
  const auto summary = precompile(wanted);
  if (!summary) {
    print_error(summary.error());
    return exit_code(summary.error());
  }
  if (const auto failure = failure_of(*summary)) print_error(*failure);
  return exit_code(*summary);
}

}  // namespace kiln
