#include "daemon/image/practice.h"

#include <Python.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "daemon/image/fence.h"
#include "daemon/image/heir.h"
#include "daemon/image/interpreter_state.h"
#include "daemon/image/leave.h"
#include "daemon/image/python_ref.h"
#include "daemon/image/streams.h"
#include "daemon/image/system_calls.h"

namespace kiln::image {
namespace {

// Goes the way of a program's first print, to nowhere. Nothing may stay buffered: it would come out of a run.
constexpr char kProgram[] =
    "import sys\n"
    "print('', flush=True)\n"
    "print('', file=sys.stderr, flush=True)\n";

constexpr time_t kLimit_s = 5;
constexpr int kLowest = 19;

// Lets happen what nobody else can see.
class EndsAtFirstEffect : public FenceKeeper {
 public:
  explicit EndsAtFirstEffect(std::function<void()> at_end) : at_end_(std::move(at_end)) {}

  [[noreturn]] void end() {
    at_end_();
    ::_exit(0);
  }

  std::optional<long> answer(const SystemCall&) override { return std::nullopt; }
  std::string objection(const SystemCall& call) override {
    constexpr std::array kOfThisProcessAlone{SYS_msync, SYS_rt_sigprocmask, SYS_rt_sigaction};
    const bool is_ours = std::ranges::find(kOfThisProcessAlone, call.number) != kOfThisProcessAlone.end();
    return is_ours || kind_of(call) != CallKind::effect ? std::string() : wording_of(call);
  }
  void note(const SystemCall&, long) override {}
  bool may_read_clock() override { return true; }
  std::uint64_t look_at_arguments(std::uint64_t blocked) override { return blocked; }
  bool may_leave() override { return false; }
  std::uint64_t stop(const std::string&, std::uint64_t) override { end(); }

 private:
  std::function<void()> at_end_;
};

// Whatever the program has made of its signals and alarms.
void live_no_longer_than(time_t seconds) {
  sigevent killed{};
  killed.sigev_notify = SIGEV_SIGNAL;
  killed.sigev_signo = SIGKILL;
  int timer = 0;
  const itimerspec limit{{}, {seconds, 0}};
  if (::syscall(SYS_timer_create, CLOCK_MONOTONIC, &killed, &timer) == 0)
    ::syscall(SYS_timer_settime, timer, 0, &limit, nullptr);
}

// Those of the fence: held back, they would kill.
void let_in_signals_of_fence() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGSYS, SIGSEGV, SIGTRAP}) sigaddset(&signals, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace

Result<void> practise() {
  TRY_VOID(make_standard_streams());
  const PythonRef globals{PyDict_New()};
  PyDict_SetItemString(globals.get(), "__builtins__", PyEval_GetBuiltins());
  const PythonRef code{Py_CompileString(kProgram, "<practice>", Py_file_input)};
  const PythonRef done{code ? PyEval_EvalCode(code.get(), globals.get(), globals.get()) : nullptr};
  if (!done) return Error{Reason::interpreter, take_python_error(), {}};
  return {};
}

Launch practice_launch() {
  Launch launch;
  launch.kind = TargetKind::command;
  launch.target = kProgram;
  launch.name = "kiln-image";  // nobody shall take it for a program
  launch.command_line = {launch.name};
  for (char** variable = environ; *variable != nullptr; ++variable)
    launch.environment.emplace_back(*variable);
  return launch;
}

void practise_leaving(std::function<void()> at_end) {
  static auto* keeper = new EndsAtFirstEffect(std::move(at_end));
  live_no_longer_than(kLimit_s);
  ::setpriority(PRIO_PROCESS, 0, kLowest);
  let_in_signals_of_fence();
  (void)may_leave_heir();  // which looks at more than the fence lets through
  if (!raise_fence(*keeper)) keeper->end();
  leave(Program::Outcome{}, RunProcess{});
}

}  // namespace kiln::image
