// `kiln warm`: has a program run ahead before it is run, and waits until that is done.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "client/background.h"
#include "client/command.h"
#include "client/explain_run.h"
#include "client/patience.h"
#include "client/process_group.h"
#include "client/run.h"
#include "common/arguments.h"
#include "common/print_error.h"
#include "common/printable.h"
#include "common/screen.h"

namespace kiln {
namespace {

constexpr char kHelp[] =
    "Has a program run ahead, up to its first step that is more than reading files, and waits until `kiln "
    "run` "
    "with these arguments goes on from there. The program is not run.\n"
    "Usage: kiln warm [--json] [--python PY] [python options] (SCRIPT | -m MODULE | -c CMD | DIR | ZIP | "
    "FILE.pyc) [ARGS...]\n"
    "       kiln warm [--json] x NAME [ARGS...]     as kiln x\n"
    "       kiln warm --most-used [--quiet]         the programs that are run most often\n\n"
    "  --json        one JSON document, as of kiln explain run\n"
    "  --python PY   interpreter, as for kiln run\n"
    "  --most-used   those that were run most often, by any interpreter\n"
    "  --quiet       with --most-used: nothing is told\n"
    "  -h, --help    this text\n\n"
    "Programs are run ahead unless images.programs is false (kiln config). Tells what kiln explain run "
    "tells. Exit code 1: such a run will not be warm. Session, environment and the kinds of the standard "
    "streams count: warm for a pipe what will write to a pipe.\n";

// An image that the daemon let go of between two questions is started again, but not for ever.
constexpr int kMostStarts = 3;

Result<proto::ExplainRunReply> warm(const ChosenInterpreter& interpreter, std::span<char* const> arguments) {
  TRY_VOID(check_installation());
  const proto::RunRequest run = TRY(describe_run(interpreter, arguments));
  for (int starts = 0; starts < kMostStarts; ++starts) {
    Connection connection = TRY(Connection::open_or_start());
    proto::Request request;
    *request.mutable_warm()->mutable_run() = run;
    TRY_VOID(connection.send(std::move(request)));
    std::vector<UniqueFd> fds;
    const proto::Reply reply = TRY(receive_patiently(connection, "running it ahead", &fds));
    if (reply.has_explain_run()) {
      if (reply.explain_run().how() == "bare") TRY_VOID(try_run(interpreter, arguments));
      return reply.explain_run();
    }
    if (!reply.has_start_image() || fds.size() != 1) break;
    start_image_in_background(run.key(), reply.start_image(), std::move(fds[0]), HeadStart::none);
  }
  return Error{Reason::protocol, "unexpected answer of the daemon", "kiln daemon restart"};
}

}  // namespace

namespace {

constexpr std::uint32_t kMostUsed = 8;  // programs

Result<std::vector<proto::MostUsedReply::Program>> most_used() {
  Connection connection = TRY(Connection::open_or_start());
  proto::Request request;
  request.mutable_most_used()->set_count(kMostUsed);
  TRY_VOID(connection.send(std::move(request)));
  const proto::Reply reply = TRY(connection.receive());
  return std::vector<proto::MostUsedReply::Program>(reply.most_used().programs().begin(),
                                                    reply.most_used().programs().end());
}

// As whoever names no interpreter would have it, where that is the same: its name is a part of an image's
// key.
Result<ChosenInterpreter> interpreter_of(const proto::MostUsedReply::Program& program) {
  auto usual = choose_interpreter();
  return usual && usual->path == program.python() ? usual : choose_interpreter(program.python());
}

Result<proto::ExplainRunReply> warm_used(const proto::MostUsedReply::Program& program) {
  constexpr std::string_view kModule = "-m ";
  const ChosenInterpreter interpreter = TRY(interpreter_of(program));
  const bool is_module = program.entry().starts_with(kModule);
  std::vector<std::string> words{is_module ? program.entry().substr(kModule.size()) : program.entry()};
  if (is_module) words.insert(words.begin(), "-m");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  return warm(interpreter, arguments);
}

// Of none it is an error that it cannot be warm, or is gone: it is tried in passing.
int warm_most_used(bool quiet) {
  // A shell has no job control yet while it reads its start-up file, so this is in its own group, where no
  // run would be served (process_group.h).
  if (is_orphaned(::getpgrp())) (void)::setpgid(0, 0);
  const auto programs = most_used();
  if (!programs) {
    if (!quiet) print_error(programs.error());
    return quiet ? kExitDone : exit_code(programs.error());
  }
  if (programs->empty() && !quiet) std::fputs("no program was run yet\n", stderr);
  for (const auto& program : *programs) {
    const auto answer = warm_used(program);
    const bool is_starting = answer && answer->reason() == word(Reason::image_starting);
    const std::string how = is_starting ? "starting" : answer ? answer->how() : "exec";
    if (!quiet) std::printf("%-8s %s\n", how.c_str(), printable(program.entry()).c_str());
  }
  return kExitDone;
}

// Without what is meant by another command line: a program, and options of Python's.
int most_used_command(std::span<char*> arguments) {
  if (std::ranges::find(arguments, std::string_view("--help")) != arguments.end()) {
    show(kHelp);
    return kExitDone;
  }
  CLI::App app("", "kiln warm");
  bool quiet = false;
  auto* const most_used = app.add_flag("--most-used");
  app.add_flag("--quiet", quiet)->needs(most_used);
  most_used->excludes(app.add_flag("--json"));
  if (const auto code = parse_arguments(app, arguments)) return *code;
  return warm_most_used(quiet);
}

bool is_of_most_used(std::span<char* const> arguments) {
  const auto is_program = [](std::string_view argument) { return !argument.starts_with("--"); };
  const auto options = arguments.first(
      static_cast<std::size_t>(std::ranges::find_if(arguments, is_program) - arguments.begin()));
  return std::ranges::any_of(
      options, [](std::string_view option) { return option == "--most-used" || option == "--quiet"; });
}

}  // namespace

int warm_command(std::span<char*> arguments) {
  if (is_of_most_used(arguments)) return most_used_command(arguments);
  constexpr std::array<std::string_view, 5> kOptions{"--json", "--python", "--most-used", "--quiet",
                                                     "--help"};
  const auto told = tell_of_run({"warm", kHelp, kOptions, warm}, arguments);
  if (const int* const code = std::get_if<int>(&told)) return *code;
  return std::get<proto::ExplainRunReply>(told).how() == "program" ? kExitDone : kExitFix;
}

}  // namespace kiln
