#include "common/reason.h"

#include <algorithm>
#include <array>

namespace kiln {
namespace {

struct Row {
  Reason reason;
  std::string_view word;
  std::string_view wording;
};

constexpr std::array kRows{
    Row{Reason::served, "served", "an image served the run"},
    Row{Reason::disabled, "disabled", "KILN_DISABLE is set"},
    Row{Reason::no_target, "no-target", "no script, module or command was given, so Python is interactive"},
    Row{Reason::option, "option", "an interpreter option that Kiln does not serve"},
    Row{Reason::usage, "usage", "Python itself reports this command line"},
    Row{Reason::orphaned, "orphaned",
        "no shell controls the process on its terminal, which a child of an image would hide"},
    Row{Reason::session, "session", "the process leads a session of its own, which no image lives in"},
    Row{Reason::traced, "traced", "a debugger or tracer is attached"},
    Row{Reason::secure, "secure", "the process runs with raised privileges"},
    Row{Reason::init, "init", "the process is PID 1"},
    Row{Reason::supervised, "supervised", "a service manager addresses this very process"},
    Row{Reason::instrumented, "instrumented",
        "a variable asks for tracing, profiling or coverage from the start"},
    Row{Reason::limited, "limited", "the address space or data size is limited"},
    Row{Reason::descriptors, "descriptors",
        "too many descriptors are open, or too few may be (ulimit -n), for them to be handed over"},
    Row{Reason::timer, "timer",
        "an interval timer is running, which would signal this process, not the program"},
    Row{Reason::sandboxed, "sandboxed", "the process lives in a sandbox that cannot be told from another"},
    Row{Reason::unshared, "unshared",
        "the process has what its children, such as an image, would not inherit"},
    Row{Reason::interpreter_missing, "interpreter-missing", "the interpreter was not found"},
    Row{Reason::interpreter_script, "interpreter-script",
        "the interpreter is a script, such as a version manager's shim"},
    Row{Reason::not_python, "not-python", "the program is no Python script that could be told"},
    Row{Reason::streams, "streams", "standard input is a directory"},
    Row{Reason::command_encoding, "command-encoding", "the command is not UTF-8"},
    Row{Reason::no_daemon, "no-daemon", "no daemon was running; one was started for the next run"},
    Row{Reason::daemon_unreachable, "daemon-unreachable", "the daemon's socket could not be used"},
    Row{Reason::no_image, "no-image",
        "no image was warm for this interpreter; one was started for the next run"},
    Row{Reason::image_starting, "image-starting", "the image is still starting"},
    Row{Reason::image_failed, "image-failed", "the image could not be started"},
    Row{Reason::build_mismatch, "build-mismatch", "client and daemon are of different builds"},
    Row{Reason::interpreter, "interpreter", "not an interpreter that Kiln is tested with"},
    Row{Reason::self_test, "self-test", "the interpreter failed the image's self-test"},
    Row{Reason::startup_code, "startup-code", "start-up code does what an image cannot do once for all runs"},
    Row{Reason::namespace_differs, "namespace", "the daemon lives in another mount namespace or root"},
    Row{Reason::overloaded, "overloaded", "too many runs at once"},
    Row{Reason::shutting_down, "shutting-down", "the daemon is shutting down"},
    Row{Reason::images_disabled, "images-disabled", "the configuration says images.enabled = false"},
    Row{Reason::config, "config", "there is a mistake in the configuration"},
    Row{Reason::protocol, "protocol", "a malformed message"},
    Row{Reason::foreign_user, "foreign-user", "the peer belongs to another user"},
    Row{Reason::target_missing, "target-missing", "the program was not found"},
    Row{Reason::target_unreadable, "target-unreadable", "the program could not be read"},
    Row{Reason::compile_error, "compile-error", "the main script does not compile"},
    Row{Reason::compile_warning, "compile-warning", "compiling the main script issues warnings"},
    Row{Reason::source_encoding, "source-encoding", "the main script is not encoded in UTF-8"},
    Row{Reason::source_form, "source-form", "the main script has unusual line ends"},
    Row{Reason::bad_pyc, "bad-pyc", "the bytecode file is damaged or of another version"},
    Row{Reason::setup, "setup", "the child could not take over the caller's state"},
    Row{Reason::image_lost, "image-lost", "the image ended before the program began"},
    Row{Reason::not_found, "not-found", "no such file or directory"},
    Row{Reason::already_running, "already-running", "a daemon already runs"},
    Row{Reason::system, "system", "the operating system refused"},
    Row{Reason::timeout, "timeout", "no answer in time"},
    Row{Reason::internal, "internal", "a bug in Kiln"},
};

constexpr const Row& row(Reason reason) {
  return kRows[static_cast<std::size_t>(reason)];
}

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].reason) != i) return false;
  }
  return kRows.size() == static_cast<std::size_t>(Reason::internal) + 1;
}
static_assert(rows_are_in_order(), "kRows is indexed by Reason");

}  // namespace

std::string_view word(Reason reason) {
  return row(reason).word;
}
std::string_view wording(Reason reason) {
  return row(reason).wording;
}

std::optional<Reason> reason_from_word(std::string_view word) {
  const auto* found = std::ranges::find(kRows, word, &Row::word);
  if (found == kRows.end()) return std::nullopt;
  return found->reason;
}

}  // namespace kiln
