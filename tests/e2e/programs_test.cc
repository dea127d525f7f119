// Programs, how they end, and what the interpreter shows them of itself.
#include <csignal>

#include "tests/e2e/table.h"

namespace kiln::e2e {
namespace {

// An all-exec Kiln would pass every comparison. So: the simplest program is really served by an image.
class Warm : public testing::TestWithParam<Python> {};

TEST_P(Warm, HelloIsServedByAnImage) {
  const std::string program = programs_dir() + "/hello.py";
  const LogLine log = run_until_bare(GetParam(), {program}, base_environment());
  EXPECT_TRUE(log.is_served()) << log.line;
  EXPECT_EQ(log.reason, "served") << log.line;
}

// Once warm it stays warm: spare children and the image outlive a run, whatever the run's end was.
TEST_P(Warm, StaysWarmAfterDeathsOfPrograms) {
  ASSERT_TRUE(run_until_bare(GetParam(), {"-c", "pass"}, base_environment()).is_served());
  for (const char* end :
       {"import os; os._exit(3)", "import os; os.kill(os.getpid(), 9)", "raise SystemExit(1)", "1/0"}) {
    kiln({"run", "--python", GetParam().path, "-c", end});
    EXPECT_TRUE(run_until_bare(GetParam(), {"-c", "pass"}, base_environment()).is_served())
        << "after " << end;
  }
}

// Neither the program nor its process group is there when the run has ended.
TEST_P(Warm, LeavesNoZombie) {
  run_until_bare(GetParam(), {"-c", "pass"}, base_environment());
  const std::string script =
      "import os, subprocess, sys\n"
      "def is_there(call, *arguments):\n"
      "  try: call(*arguments); return True\n"
      "  except ProcessLookupError: return False\n"
      "for i in range(30):\n"
      "  run = subprocess.Popen(sys.argv[1:] + ['-c', 'import os; print(os.getpid())'],\n"
      "                         preexec_fn=os.setpgrp, stdout=subprocess.PIPE)\n"
      "  program = int(run.stdout.read()); run.wait()\n"
      "  if is_there(os.killpg, run.pid, 0) or is_there(os.kill, program, 0): print('still there')\n";
  const Outcome outcome =
      run({.argv = {any_python().path, "-c", script, kiln_binary(), "run", "--python", GetParam().path},
           .environment = base_environment()});
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(describe_status(outcome.status), "exit 0") << outcome.err;
}

// What Python draws at random at start is drawn anew: two runs of one image share no random numbers and no
// names.
TEST_P(Warm, RunsShareNoRandomness) {
  const std::vector<std::string> code{
      "-c",
      "import random, uuid, tempfile, os, secrets\n"
      "print(random.random(), uuid.uuid4(), next(tempfile._get_candidate_names()), secrets.token_hex())"};
  run_until_bare(GetParam(), {"-c", "pass"}, base_environment());
  std::vector<std::string> arguments{"run", "--python", GetParam().path};
  arguments.insert(arguments.end(), code.begin(), code.end());
  EXPECT_NE(kiln(arguments).out, kiln(arguments).out);
}

std::string python_name(const testing::TestParamInfo<Python>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Each, Warm, testing::ValuesIn(interpreters()), python_name);

const std::vector<Row> kPrograms = {
    {.name = "hello", .target = {"hello.py"}},
    {.name = "uncaught_exception", .target = {"uncaught.py"}},
    {.name = "atexit_order", .target = {"atexit_order.py"}},
    {.name = "atexit_error", .target = {"atexit_error.py"}},
    {.name = "thread_running", .target = {"thread_running.py"}},
    {.name = "thread_after_error", .target = {"thread_after_error.py"}},
    {.name = "exit_in_thread", .target = {"exit_in_thread.py"}},
    {.name = "daemon_threads", .target = {"daemon_threads.py"}},
    {.name = "open_files", .target = {"open_file.py"}, .with = {"left_open.py"}},
    {.name = "zip_left_open", .target = {"zip_left_open.py"}, .with = {"left_open_zip.py"}},
    {.name = "print_stack", .target = {"print_stack.py"}},
    {.name = "warnings", .target = {"warn.py"}},
    {.name = "pickle_of_main_class", .target = {"pickle_main.py"}},
    {.name = "recursion", .target = {"recursion.py"}},
    {.name = "recursion_in_c", .target = {"recursion_in_c.py"}},
    {.name = "c_printf", .target = {"printf.py"}},
    {.name = "c_printf_to_file", .target = {"printf.py"}, .out = Stream::file},
    {.name = "del_of_globals", .target = {"del_global.py"}},
    {.name = "del_kept_by_sys", .target = {"del_kept_by_sys.py"}},
    {.name = "del_while_finalizing", .target = {"del_builtins.py"}},
    {.name = "del_in_cycles", .target = {"del_cycle.py"}},
    {.name = "del_in_modules", .target = {"del_module.py"}, .with = {"holder.py"}},
    {.name = "generator_finally", .target = {"generator_finally.py"}},
    {.name = "weakrefs", .target = {"weakrefs.py"}},
    {.name = "gc_debug_at_exit", .target = {"gc_debug.py"}},
    {.name = "asyncio", .target = {"asyncio_hello.py"}},
    {.name = "sqlite_transaction", .target = {"sqlite_open.py"}, .names_only = true},
    {.name = "logging_at_exit", .target = {"logging_exit.py"}},
    {.name = "modules", .target = {"modules.py"}, .with = {"imported.py", "package", "broken_module.py"}},
    {.name = "module_does_not_compile", .target = {"import_broken_syntax.py"}, .with = {"broken_syntax.py"}},
    {.name = "self_import", .target = {"self_import.py"}},
    {.name = "dataclasses", .target = {"dataclasses_main.py"}},
    {.name = "multiprocessing_spawn", .target = {"processes.py", "spawn"}},
    {.name = "multiprocessing_fork", .target = {"processes.py", "fork"}},
    {.name = "multiprocessing_forkserver", .target = {"processes.py", "forkserver"}},
    {.name = "executors", .target = {"executor.py"}},
    {.name = "subprocesses", .target = {"subprocesses.py"}, .env = {"REMOVED=1", "KEPT=1"}},
    {.name = "fork", .target = {"fork.py"}},
    {.name = "fork_from_thread", .options = {"-W", "ignore"}, .target = {"fork_from_thread.py"}},
    {.name = "exec_of_another", .target = {"exec_other.py"}},
    {.name = "excepthook", .target = {"excepthook.py"}},
    {.name = "broken_excepthook", .target = {"broken_excepthook.py"}},
    {.name = "unprintable_exception", .target = {"unprintable.py"}},
    {.name = "exception_group", .target = {"exception_group.py"}, .since = 11},
    {.name = "much_output", .target = {"much_output.py"}},
    {.name = "interleaved_output", .target = {"interleaved.py"}},
    {.name = "itimer", .target = {"itimer.py"}},
    {.name = "tracing_and_auditing", .target = {"traced.py"}},
    {.name = "tracemalloc", .target = {"tracemalloc_main.py"}},
};
KILN_TABLE(Programs, kPrograms);

const std::vector<Row> kExits = {
    {.name = "none", .target = {"exit_with.py", "None"}},
    {.name = "zero", .target = {"exit_with.py", "0"}},
    {.name = "three", .target = {"exit_with.py", "3"}},
    {.name = "wraps_256", .target = {"exit_with.py", "256"}},
    {.name = "wraps_511", .target = {"exit_with.py", "511"}},
    {.name = "negative", .target = {"exit_with.py", "-1"}},
    {.name = "huge", .target = {"exit_with.py", "2**70"}},
    {.name = "int32_overflow", .target = {"exit_with.py", "2**32 + 5"}},
    {.name = "boolean", .target = {"exit_with.py", "True"}},
    {.name = "list_that_holds", .target = {"exit_with_held.py", "list"}},
    {.name = "object_with_finalizer", .target = {"exit_with_held.py", "object"}},
    {.name = "interrupted_in_c", .target = {"interrupt_in_c_exit.py"}},
    {.name = "enumeration", .target = {"exit_with.py", "__import__('signal').SIGTERM"}},
    {.name = "kind_of_int",
     .target = {"exit_with.py", "type('N', (int,), {'__int__': lambda s: 9, '__index__': lambda s: 9})(6)"}},
    {.name = "float", .target = {"exit_with.py", "2.5"}},
    {.name = "string", .target = {"exit_with.py", "'a message'"}},
    {.name = "empty_string", .target = {"exit_with.py", "''"}},
    {.name = "surrogate_string", .target = {"exit_with.py", "'\\udce4'"}},
    {.name = "tuple", .target = {"exit_with.py", "(1, 2)"}},
    {.name = "object", .target = {"exit_with.py", "Opaque()"}},
    {.name = "broken_object", .target = {"exit_object.py", "broken"}},
    {.name = "subclass", .target = {"exit_subclass.py"}},
    {.name = "os_exit", .target = {"os_exit.py", "7"}},
    {.name = "os_exit_wraps", .target = {"os_exit.py", "300"}},
    {.name = "sigterm", .target = {"kill_self.py", "SIGTERM"}},
    {.name = "sigkill", .target = {"kill_self.py", "SIGKILL"}},
    {.name = "sigsegv", .target = {"kill_self.py", "SIGSEGV"}},
    {.name = "sighup", .target = {"kill_self.py", "SIGHUP"}},
    {.name = "sigint", .target = {"kill_self.py", "SIGINT"}},
    {.name = "sigusr1", .target = {"kill_self.py", "SIGUSR1"}},
    {.name = "sigquit", .target = {"kill_self.py", "SIGQUIT"}},
    {.name = "sigalrm", .target = {"kill_self.py", "SIGALRM"}},
    {.name = "sigrtmin", .target = {"kill_self.py", "SIGRTMIN"}},
    {.name = "real_segfault", .target = {"segfault.py"}},
    {.name = "abort", .target = {"abort.py"}},
    {.name = "keyboard_interrupt", .target = {"keyboard_interrupt.py"}},
    {.name = "keyboard_interrupt_from_thread", .target = {"keyboard_interrupt_in_thread.py"}},
};
KILN_TABLE(Exits, kExits);

const std::vector<Row> kInterpreter = {
    {.name = "sys", .target = {"dump_sys.py", "a", "", "-c"}},
    {.name = "modules", .target = {"dump_modules.py"}},
    {.name = "modules_isolated", .options = {"-I", "-S"}, .target = {"dump_modules.py"}},
    {.name = "main", .target = {"dump_main.py"}},
    {.name = "main_of_command",
     .target = {"-c", "print(list(globals().items())); print(__import__('sys').argv)"}},
    {.name = "main_thread", .target = {"main_thread.py"}},
    {.name = "gc", .target = {"gc_objects.py"}},
    {.name = "clocks", .target = {"clocks.py"}},
    {.name = "faulthandler", .target = {"faulthandler_main.py"}},
    {.name = "names", .target = {"set_name.py"}},
    {.name = "arguments", .target = {"dump_arguments.py", "", "--", "-x", "a b", "\n"}},
    {.name = "arguments_not_utf8", .target = {"dump_arguments.py", "\xff\xfe", "caf\xe9", "\xed\xa0\x80"}},
};
KILN_TABLE(Interpreter, kInterpreter);

}  // namespace
}  // namespace kiln::e2e
