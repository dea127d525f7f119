#include "client/run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "client/background.h"
#include "client/command.h"
#include "client/connection.h"
#include "client/context.h"
#include "client/current_path.h"
#include "client/daemon_start.h"
#include "client/decision_log.h"
#include "client/exec_failure.h"
#include "client/handover.h"
#include "client/known_path.h"
#include "client/process_group.h"
#include "client/python_command.h"
#include "client/settle.h"
#include "client/signals.h"
#include "client/stand_in.h"
#include "common/fd_passing.h"
#include "common/launch.h"
#include "common/paths.h"
#include "common/print_error.h"
#include "common/run_tally.h"
#include "common/screen.h"
#include "common/variables.h"

namespace kiln {
namespace {

// Setting up is a millisecond. A main script that takes longer to compile than this is executed.
constexpr timeval kAnswerLimit{5, 0};

// What a run comes to before anybody is asked.
struct Wish {
  Context context;
  PythonCommand command;
  proto::RunRequest request;
};

Result<Wish> make_wish(const ChosenInterpreter& interpreter, std::span<char* const> arguments) {
  if (is_on("KILN_DISABLE")) return Error{Reason::disabled, {}, {}};
  PythonCommand command = parse_python_command(arguments);
  if (command.unserved) return Error{*command.unserved, {}, {}};
  if (is_script(interpreter.path)) return Error{Reason::interpreter_script, {}, {}};
  auto context = read_context();
  if (!context) return Error{Reason::setup, "cannot read /proc/self", {}};
  if (const auto reason = must_exec(*context)) return Error{*reason, {}, {}};
  auto request = make_run_request(*context, interpreter, command);
  return Wish{std::move(*context), std::move(command), std::move(request)};
}

class Run {
 public:
  Run(const ChosenInterpreter& interpreter, std::span<char* const> arguments, bool timed)
      : interpreter_(interpreter),
        arguments_(arguments),
        timing_(timed),
        // Asked now: what is number 2 later, where standard error is closed, is a descriptor of ours.
        logs_(logs_decisions()) {}

  [[noreturn]] void go() {
    const Reason why = serve();
    connection_.reset();
    if (settle_bytecode(why)) timing_.passed("to have bytecode settled");
    timing_.tell("then " + interpreter_.path + " itself was started (" + std::string(word(why)) + ")");
    exec_interpreter();
  }

  // Whoever waits for "go" ends when the connection does.
  Result<void> prepare() {
    const HeldSignals held;
    ProcessGroup group;
    TRY(start(held, group));
    return {};
  }

 private:
  // Returns only if that was not to be, with the reason why.
  Reason serve() {
    const HeldSignals held;
    ProcessGroup group;
    const auto child = start(held, group);
    if (child && logs_)
      log_decision(child->is_ahead ? "warm" : "bare", Reason::served, "pid " + std::to_string(child->pid));
    const Error reason = child ? begin(held, group, *child) : child.error();
    tally(reason.reason);
    if (logs_) log_decision("exec", reason.reason, reason.message);
    return reason.reason;
  }

  // Everything up to, but not including, "go": any failure leaves the world as it was.
  Result<Child> start(const HeldSignals& held, ProcessGroup& group) {
    const Wish wish = TRY(make_wish(interpreter_, arguments_));
    request_ = wish.request;
    timing_.passed("to look at what the run must be like");
    TRY_VOID(connect());
    const Handover handover = TRY(make_handover(wish.context, wish.command, interpreter_, arguments_,
                                                held.former_mask(), connection_->fd()));
    return launch(handover, group);
  }

  Result<void> connect() {
    auto connection = Connection::open();
    if (!connection) {
      if (connection.error().reason != Reason::no_daemon) return connection.error();
      start_all_in_background(request_);
      if (logs_) TRY_VOID(check_daemon_can_start());
      return Error{Reason::no_daemon, {}, {}};
    }
    connection_.emplace(std::move(*connection));
    return {};
  }

  // The launch is for a child of an image alone, to which the daemon hands the connection: the program's
  // descriptors would stay open in a daemon that hangs.
  Result<Child> launch(const Handover& handover, ProcessGroup& group) {
    proto::Request request;
    *request.mutable_run() = request_;
    describe_launch(handover.launch, *request.mutable_run());
    // An image that hangs must not hang the program: until "go", it can still be run here.
    ::setsockopt(connection_->fd(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerLimit, sizeof kAnswerLimit);
    ::setsockopt(connection_->fd(), SOL_SOCKET, SO_SNDTIMEO, &kAnswerLimit, sizeof kAnswerLimit);
    TRY_VOID(connection_->send(std::move(request)));
    timing_.passed("to ask the daemon");
    const std::string launch = encode_frame(FrameType::launch, encode_launch(handover.launch));
    auto answer = receive_frame(connection_->fd());
    timing_.passed("until it was answered, by a child of an image if there is one");
    if (answer && answer->frame.type == FrameType::taken) {
      TRY_VOID(send_with_fds(connection_->fd(), launch, handover.fds));
      group.prepare();  // while the child does what it has to
      answer = receive_frame(connection_->fd());
      timing_.passed("until it was ready");
    }
    if (!answer) return answer.error();
    switch (answer->frame.type) {
      case FrameType::ready:
        return take_child(*answer);
      case FrameType::refused:
        return decode_refused(answer->frame.payload);
      case FrameType::reply:
        return take_reply(*answer);
      default:
        return Error{Reason::protocol, "unexpected answer", {}};
    }
  }

  static Result<Child> take_child(ReceivedFrame& answer) {
    const Ready ready = TRY(decode_ready(answer.frame.payload));
    if (answer.fds.size() != 2) return Error{Reason::protocol, "ready without its descriptors", {}};
    return Child{ready.pid, ready.image, ready.is_ahead, std::move(answer.fds[0]), std::move(answer.fds[1])};
  }

  Error take_reply(ReceivedFrame& answer) {
    proto::Reply reply;
    if (!reply.ParseFromString(answer.frame.payload)) return {Reason::protocol, "unreadable answer", {}};
    if (reply.has_start_image() && answer.fds.size() == 1) {
      if (const auto complete = check_installation(); !complete) return complete.error();
      start_image_in_background(request_.key(), reply.start_image(), std::move(answer.fds[0]));
      return {Reason::no_image, {}, {}};
    }
    const Reason reason = reason_from_word(reply.refusal().reason()).value_or(Reason::protocol);
    if (reason == Reason::build_mismatch) start_all_in_background(request_);
    return {reason, reply.refusal().detail(), {}};
  }

  // Lets the program begin, and stands in for it. Returns only if that was not even possible; once go is
  // sent nothing is ever run again.
  Error begin(const HeldSignals& held, ProcessGroup& group, const Child& child) {
    const UniqueFd signals = held.open_fd();
    if (!signals) return Error{Reason::descriptors, "cannot open a signalfd", {}};
    const auto left = group.leave();
    if (!left) return left.error();
    StandIn stand_in(connection_->fd(), signals.get(), child, group, timing_);
    // What the group was sent until now, both processes got, and both hold back: forwarded before go, the two
    // become one.
    stand_in.forward();
    const auto sent = send_with_fds(connection_->fd(), encode_frame(FrameType::go, {}), {});
    if (!sent) return Error{Reason::image_lost, {}, {}};
    timing_.passed("to let it go");
    stand_in.stay();
  }

  // For `kiln stats`. Who wants nothing of Kiln is not counted.
  static void tally(Reason reason) {
    if (reason == Reason::disabled) return;
    if (const auto dir = serving_runtime_dir()) tally_run(*dir, reason);
  }

  // Of a script's, the kernel puts its first line in front once more.
  std::vector<char*> executed_line() {
    const auto own =
        interpreter_.script.empty()
            ? arguments_
            : arguments_.subspan(std::ranges::find(arguments_, interpreter_.script) - arguments_.begin() + 1);
    std::vector<char*> line{const_cast<char*>(interpreter_.argv0.c_str())};
    line.insert(line.end(), own.begin(), own.end());
    line.push_back(nullptr);
    return line;
  }

  [[noreturn]] void exec_interpreter() {
    ::execv(interpreter_.executed().c_str(), executed_line().data());
    const int failure = errno;
    Error error = exec_failure("cannot start", interpreter_.executed(), failure);
    if (error.hint.empty()) error.hint = "kiln run --help";
    print_error(error);
    ::_exit(failure == ENOENT ? 127 : 126);
  }

  const ChosenInterpreter& interpreter_;
  std::span<char* const> arguments_;
  RunTiming timing_;
  const bool logs_;
  proto::RunRequest request_;
  std::optional<Connection> connection_;
};

constexpr char kHelp[] =
    "Usage: kiln run [--timing] [--python PY] [python options] (SCRIPT | -m MODULE | -c CMD | DIR | ZIP | "
    "FILE.pyc) "
    "[ARGS...]\n"
    "\n"
    "Runs a program as `python` would, from a warm interpreter where that cannot be told apart.\n"
    "\n"
    "  --python PY   interpreter: a path, a name on PATH, a version (3.12), a virtual environment\n"
    "                (default: $KILN_PYTHON, $VIRTUAL_ENV/bin/python, python3 on PATH)\n"
    "  --timing      tells on standard error, after the program, where the milliseconds went\n"
    "  -h, --help    this text\n"
    "\n"
    "Everything else is Python's own command line. KILN_LOG=1 tells on standard error how the run was "
    "served; "
    "KILN_DISABLE=1 always executes the interpreter itself.\n";

}  // namespace

void run_program(const ChosenInterpreter& interpreter, std::span<char* const> arguments, bool timed) {
  Run(interpreter, arguments, timed).go();
}

namespace {

// TARGET is not there, or cannot be reached, by errno. As an image has it.
Error missing_target(const std::string& target) {
  if (errno != ENOENT && errno != ENOTDIR)
    return errno_error("cannot open " + target, Reason::target_unreadable);
  const auto path = absolute_path_of(target);
  const std::string meant = path ? meant_instead_of(*path) : std::string();
  return {Reason::target_missing, std::string(wording(Reason::target_missing)) + meant, {}};
}

}  // namespace

Result<proto::RunRequest> describe_run(const ChosenInterpreter& interpreter,
                                       std::span<char* const> arguments) {
  Wish wish = TRY(make_wish(interpreter, arguments));
  const bool is_file = wish.command.kind == TargetKind::file;
  if (is_file && ::access(wish.command.target.c_str(), F_OK) != 0) return missing_target(wish.command.target);
  std::uint64_t blocked = 0;
  sigset_t mask;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  std::memcpy(&blocked, &mask, sizeof blocked);
  const Handover handover =
      TRY(make_handover(wish.context, wish.command, interpreter, arguments, blocked, -1));
  describe_launch(handover.launch, wish.request);
  return std::move(wish.request);
}

Result<void> try_run(const ChosenInterpreter& interpreter, std::span<char* const> arguments) {
  return Run(interpreter, arguments, false).prepare();
}

Result<std::optional<std::string>> take_python_option(std::span<char*>& arguments,
                                                      const std::string& command) {
  std::optional<std::string> python;
  while (!arguments.empty()) {
    const std::string_view option = arguments[0];
    if (option == "--python" && arguments.size() == 1) {
      return Error{Reason::usage, "--python needs a value", "kiln " + command + " --help"};
    }
    if (option == "--python") {
      python = arguments[1];
      arguments = arguments.subspan(2);
    } else if (option.starts_with("--python=")) {
      python = option.substr(sizeof("--python=") - 1);
      arguments = arguments.subspan(1);
    } else {
      break;
    }
  }
  return python;
}

int run_command(std::span<char*> arguments) {
  // Further on, --help is for Python or for the program.
  if (!arguments.empty() &&
      (std::string_view(arguments[0]) == "-h" || std::string_view(arguments[0]) == "--help")) {
    show(kHelp);
    return kExitDone;
  }
  const bool timed = !arguments.empty() && std::string_view(arguments[0]) == "--timing";
  if (timed) arguments = arguments.subspan(1);
  const auto python = take_python_option(arguments, "run");
  if (!python) {
    print_error(python.error());
    return kExitUsage;
  }
  const auto interpreter = choose_interpreter(*python);
  if (!interpreter) {
    print_error(interpreter.error());
    return exit_code(interpreter.error());
  }
  run_program(*interpreter, arguments, timed);
}

}  // namespace kiln
