// `kiln precompile`: has the daemon compile files and directories, and shows how it goes.
#include "client/precompile.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "client/command.h"
#include "client/connection.h"
#include "client/interpreter_choice.h"
#include "client/progress.h"
#include "common/arguments.h"
#include "common/paths.h"
#include "common/print_error.h"

namespace kiln {
namespace {

constexpr unsigned kMaxJobs = 256;

void define_options(CLI::App& app, PrecompileArguments& parsed) {
  app.add_option("PATH", parsed.paths, "files and directories")->type_name("")->required();
  app.add_option("--python", parsed.python,
                 "the interpreter (else KILN_PYTHON, $VIRTUAL_ENV, python3 on PATH)")
      ->type_name("PY");
  app.add_option("-j,--jobs", parsed.jobs, "compile this many files at once (0: one a CPU)")
      ->type_name("N")
      ->check(CLI::Range(0U, kMaxJobs));
  app.add_option("-o", parsed.optimize, "optimization level, as of python -O: 0, 1, 2")
      ->type_name("LEVEL")
      ->check(CLI::Range(0, 2));
  app.add_flag("--force", parsed.force, "compile what is fresh, too");
  app.add_flag("-q,--quiet", parsed.quiet, "print errors only");
}

// The umask can be read only by setting it; there is one thread.
mode_t own_umask() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return mask;
}

Result<proto::Request> build_request(const PrecompileArguments& arguments) {
  std::error_code failed;
  const std::string cwd = std::filesystem::current_path(failed).string();
  if (failed) return Error{Reason::system, "the current directory is gone", {}};
  proto::Request request;
  auto& precompile = *request.mutable_precompile();
  for (const auto& path : arguments.paths) {
    auto& target = *precompile.add_targets();
    target.set_path(absolute_path(path, cwd));
    target.set_spelling(path);
  }
  precompile.set_python(TRY(choose_interpreter(arguments.python, "precompile")).path);
  precompile.set_jobs(arguments.jobs);
  precompile.set_umask(own_umask());
  precompile.set_force(arguments.force);
  precompile.set_optimize(arguments.optimize);
  const char* prefix = std::getenv("PYTHONPYCACHEPREFIX");
  if (prefix != nullptr && prefix[0] != '\0') precompile.set_pycache_prefix(absolute_path(prefix, cwd));
  return request;
}

void write_error(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

// Shows events until the summary comes.
class Display {
 public:
  explicit Display(bool quiet)
      : quiet_(quiet),
        progress_("compiling", terminal_columns(STDERR_FILENO), Progress::Clock::now(), write_error) {}

  Result<proto::PrecompileEvent::Summary> follow(Connection& connection) {
    for (;;) {
      auto reply = connection.receive();
      if (!reply || reply->precompile().has_summary()) progress_.clear();
      if (!reply) return reply.error();
      if (reply->precompile().has_summary()) return reply->precompile().summary();
      show(reply->precompile());
    }
  }

 private:
  void show(const proto::PrecompileEvent& event) {
    if (event.has_error()) print(error_line(event.error()) + "\n");
    if (quiet_) return;
    if (event.has_warning()) print(event.warning().text());
    if (event.has_progress()) {
      progress_.update(event.progress().done(), event.progress().total(), Progress::Clock::now());
    }
  }

  void print(const std::string& text) {
    progress_.clear();
    write_error(text);
  }

  bool quiet_;
  Progress progress_;
};

Result<proto::PrecompileEvent::Summary> precompile(const PrecompileArguments& arguments) {
  const auto request = TRY(build_request(arguments));
  auto connection = TRY(Connection::open_or_start());
  TRY_VOID(connection.send(request));
  return Display(arguments.quiet).follow(connection);
}

}  // namespace

std::variant<PrecompileArguments, int> parse_precompile_arguments(std::span<char*> arguments) {
  PrecompileArguments parsed;
  CLI::App app(
      "Compiles Python files, and those below directories, to bytecode, as python -m compileall would.",
      "kiln precompile");
  define_options(app, parsed);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  return parsed;
}

std::string error_line(const proto::PrecompileEvent::Error& error) {
  std::string place = error.path();
  if (error.line() > 0) place += ":" + std::to_string(error.line());
  if (error.line() > 0 && error.column() > 0) place += ":" + std::to_string(error.column());
  return place + ": " + error.type() + ": " + error.message();
}

std::string summary_line(const proto::PrecompileEvent::Summary& summary) {
  char line[128];
  std::snprintf(
      line, sizeof line, "compiled %llu, fresh %llu, errors %llu in %.2f s",
      static_cast<unsigned long long>(summary.compiled()), static_cast<unsigned long long>(summary.fresh()),
      static_cast<unsigned long long>(summary.errors()), static_cast<double>(summary.elapsed_us()) / 1e6);
  return line;
}

int exit_code(const proto::PrecompileEvent::Summary& summary) {
  if (!summary.failure().empty()) return kExitUnable;
  return summary.errors() > 0 ? kExitFix : kExitDone;
}

int precompile_command(std::span<char*> arguments) {
  const auto parsed = parse_precompile_arguments(arguments);
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  const auto& wanted = std::get<PrecompileArguments>(parsed);
  const auto summary = precompile(wanted);
  if (!summary) {
    print_error(summary.error());
    return kExitUnable;
  }
  if (!summary->failure().empty()) {
    print_error({Reason::system, summary->failure(), {}});
  } else if (!wanted.quiet) {
    std::puts(summary_line(*summary).c_str());
  }
  return exit_code(*summary);
}

}  // namespace kiln
