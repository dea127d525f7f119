// `kiln warm`: has a program run ahead before it is run, and waits until that is done.
#include <unistd.h>

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
#include "common/print_error.h"
#include "common/printable.h"

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

}  // namespace

int warm_command(std::span<char*> arguments) {
  if (!arguments.empty() && std::string_view(arguments[0]) == "--most-used") {
    const bool quiet = arguments.size() == 2 && std::string_view(arguments[1]) == "--quiet";
    if (arguments.size() == 1 || quiet) return warm_most_used(quiet);
    print_error({Reason::usage, "--most-used takes no program", "kiln warm --most-used --quiet"});
    return kExitUsage;
  }
  const auto told = tell_of_run({"warm", kHelp, "kiln warm SCRIPT", warm}, arguments);
  if (const int* const code = std::get_if<int>(&told)) return *code;
  return std::get<proto::ExplainRunReply>(told).how() == "program" ? kExitDone : kExitFix;
}

}  // namespace kiln
