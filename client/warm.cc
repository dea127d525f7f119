// `kiln warm`: has a program run ahead before it is run, and waits until that is done.
#include <string>
#include <variant>
#include <vector>

#include "client/background.h"
#include "client/command.h"
#include "client/explain_run.h"
#include "client/patience.h"
#include "client/run.h"

namespace kiln {
namespace {

constexpr char kHelp[] =
    "Has a program run ahead, up to its first step that is more than reading files, and waits until `kiln "
    "run` "
    "with these arguments goes on from there. The program is not run.\n"
    "Usage: kiln warm [--json] [--python PY] [python options] (SCRIPT | -m MODULE | -c CMD | DIR | ZIP | "
    "FILE.pyc) [ARGS...]\n"
    "       kiln warm [--json] x NAME [ARGS...]     as kiln x\n\n"
    "  --json        one JSON document, as of kiln explain run\n"
    "  --python PY   interpreter, as for kiln run\n"
    "  -h, --help    this text\n\n"
    "Programs are run ahead where images.programs is true (kiln config), which is not the default. "
    "Tells what kiln explain run tells. Exit code 1: such a run will not be warm. Session, environment and "
    "the kinds of the standard streams count: warm for a pipe what will write to a pipe.\n";

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
    if (reply.has_explain_run()) return reply.explain_run();
    if (!reply.has_start_image() || fds.size() != 1) break;
    start_image_in_background(run.key(), reply.start_image(), std::move(fds[0]), HeadStart::none);
  }
  return Error{Reason::protocol, "unexpected answer", {}};
}

}  // namespace

int warm_command(std::span<char*> arguments) {
  const auto told = tell_of_run({"warm", kHelp, "kiln warm SCRIPT", warm}, arguments);
  if (const int* const code = std::get_if<int>(&told)) return *code;
  return std::get<proto::ExplainRunReply>(told).how() == "program" ? kExitDone : kExitFix;
}

}  // namespace kiln
