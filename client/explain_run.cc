#include "client/explain_run.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "client/command.h"
#include "client/connection.h"
#include "client/daemon_start.h"
#include "client/explain_run_report.h"
#include "client/interpreter_check.h"
#include "client/named_program.h"
#include "client/python_command.h"
#include "client/run.h"
#include "common/json_text.h"
#include "common/print_error.h"
#include "common/screen.h"
#include "common/shell_word.h"
#include "common/suggestion.h"

namespace kiln {
namespace {

constexpr char kHelp[] =
    "Says how `kiln run` with these arguments would serve the program if it came now, and why. Nothing is "
    "run.\n"
    "Usage: kiln explain run [--json] [--python PY] [python options] (SCRIPT | -m MODULE | -c CMD | DIR | "
    "ZIP | "
    "FILE.pyc) [ARGS...]\n"
    "       kiln explain run [--json] x NAME [ARGS...]     as kiln x\n\n"
    "  --json        one JSON document (keys version, how, reason, detail, run_ahead, not_ahead, in_vain, "
    "stops)\n"
    "  --python PY   interpreter, as for kiln run\n"
    "  -h, --help    this text\n\n"
    "Standard streams count: a program that was run ahead for a pipe does not serve a run on a terminal.\n";

// As the run would find it.
Result<Connection> open_connection() {
  auto connection = Connection::open();
  if (connection || connection.error().reason != Reason::no_daemon) return connection;
  TRY_VOID(check_daemon_can_start());
  return Error{Reason::no_daemon, "no daemon is running; that run starts one", {}};
}

Result<proto::ExplainRunReply> ask(const ChosenInterpreter& interpreter, std::span<char* const> arguments) {
  proto::Request request;
  *request.mutable_explain_run()->mutable_run() = TRY(describe_run(interpreter, arguments));
  Connection connection = TRY(open_connection());
  TRY_VOID(connection.send(std::move(request)));
  TRY_VOID(connection.await_answer());
  proto::ExplainRunReply reply = TRY(connection.receive()).explain_run();
  if (reply.how() == "bare") TRY_VOID(try_run(interpreter, arguments));
  return reply;
}

proto::ExplainRunReply executed(const Error& error) {
  proto::ExplainRunReply reply;
  reply.set_how("exec");
  reply.set_reason(std::string(word(error.reason)));
  reply.set_detail(error.message);
  return reply;
}

int fail(const Error& error) {
  print_error(error);
  return exit_code(error);
}

bool take_flag(std::span<char*>& arguments, std::string_view name) {
  const bool is_there = !arguments.empty() && arguments[0] == name;
  if (is_there) arguments = arguments.subspan(1);
  return is_there;
}

// OPTION is none of Python's. It would end the run that is asked about, so that no answer is of use.
Error foreign(const RunInquiry& inquiry, const std::string& option) {
  const std::string name = option.substr(0, option.find('='));
  const bool is_ours = std::ranges::find(inquiry.options, name) != inquiry.options.end();
  const std::string what = !is_ours         ? "unknown option " + name + did_you_mean(name, inquiry.options)
                           : name == option ? name + " must come first"
                                            : name + " takes no value";
  return {Reason::usage, what, std::string("kiln ") + inquiry.command + " --help"};
}

}  // namespace

std::variant<int, proto::ExplainRunReply> tell_of_run(const RunInquiry& inquiry, std::span<char*> arguments) {
  bool as_json = false;
  while (take_flag(arguments, "--json")) as_json = true;
  if (take_flag(arguments, "-h") || take_flag(arguments, "--help")) {
    show(inquiry.help);
    return kExitDone;
  }
  const auto python = take_python_option(arguments, inquiry.command);
  if (!python) return fail(python.error());
  while (take_flag(arguments, "--json")) as_json = true;
  if (const auto option = parse_python_command(arguments).foreign_option; !option.empty())
    return fail(foreign(inquiry, option));
  const bool is_x = !*python && !arguments.empty() && std::string_view(arguments[0]) == "x";
  const bool is_named = is_x && arguments.size() > 1 && arguments[1][0] != '\0';
  if (is_x && !is_named && ::access("x", F_OK) != 0)
    return fail({Reason::usage, "the name of a program is missing",
                 std::string("kiln ") + inquiry.command + " x pytest"});
  if (arguments.empty() || arguments[0][0] == '\0')
    return fail({Reason::usage, "which program?", std::string("kiln ") + inquiry.command + " --help"});
  const std::string command_words = inquiry.command;
  const auto program =
      is_named ? find_named_program(arguments[1], {command_words + " x", command_words, arguments.subspan(2)})
               : Error{Reason::usage, {}, {}};
  if (is_named && !program) return fail(program.error());
  const auto interpreter = is_named ? program->interpreter : choose_interpreter(*python);
  const bool is_python = interpreter || interpreter.error().reason != Reason::not_python;
  if (!interpreter && is_python) return fail(interpreter.error());
  std::vector<char*> command(arguments.begin(), arguments.end());
  if (is_named) command = program->command_line(arguments.subspan(2));
  const auto answer = is_python ? inquiry.ask(*interpreter, command) : interpreter.error();
  const auto reply = answer ? *answer : executed(answer.error());
  // For the sake of a variable no daemon is started: without one there was no answer.
  const bool is_checked = *python || (answer && !is_named);
  const auto named = is_checked ? named_interpreter(*python) : std::nullopt;
  if (named && reply.how() == "exec" && reply.reason() != word(Reason::no_daemon)) {
    const auto checked = check_is_interpreter(interpreter->path, *named);
    if (!checked) return fail(checked.error());
  }
  if (as_json) {
    std::puts(json_text(run_explanation_json(reply)).c_str());
  } else {
    show(run_explanation_text(reply, is_python ? interpreter->path : program->path));
  }
  return reply;
}

int explain_run_command(std::span<char*> arguments) {
  constexpr std::array<std::string_view, 3> kOptions{"--json", "--python", "--help"};
  if (arguments.empty() && ::access("run", F_OK) == 0) {
    print_error({Reason::usage,
                 "which program? There is a file called run, but that is a word of kiln explain",
                 "kiln explain ./run"});
    return kExitUsage;
  }
  const auto told = tell_of_run({"explain run", kHelp, kOptions, ask}, arguments);
  const int* const code = std::get_if<int>(&told);
  return code != nullptr ? *code : kExitDone;
}

}  // namespace kiln
