// Interpreter options and the environment, which Python reads before the first line of a program.
#include <unistd.h>

#include "tests/e2e/table.h"

namespace kiln::e2e {
namespace {

Row flags(const std::string& name, const std::vector<std::string>& options, Expect expect = Expect::bare) {
  return {.name = name,
          .options = options,
          .target = {"dump_flags.py"},
          .expect = expect,
          .with = {"imported.py"}};
}

std::vector<Row> option_rows() {
  Row safe_path = flags("P", {"-P"});
  safe_path.since = 11;
  return {
      flags("none", {}),
      flags("O", {"-O"}),
      flags("OO", {"-OO"}),
      flags("O_O", {"-O", "-O"}),
      flags("W_error", {"-W", "error"}),
      flags("W_attached", {"-Wignore", "-Wdefault::DeprecationWarning"}),
      flags("W_invalid", {"-W", "no-such-action"}, Expect::any),
      flags("X_dev", {"-X", "dev"}, Expect::exec),
      flags("X_utf8", {"-X", "utf8"}),
      flags("X_utf8_off", {"-Xutf8=0"}),
      flags("X_unknown", {"-X", "something=else"}, Expect::exec),
      // Outside of the work directory: there would be the interpreter's own start-up modules, too, which a
      // plain python writes anew into an empty prefix, and an image wrote when it started.
      flags("X_pycache_prefix", {"-X", "pycache_prefix={cwd}/../prefix"}),
      flags("X_faulthandler", {"-X", "faulthandler"}, Expect::any),
      flags("X_tracemalloc", {"-X", "tracemalloc"}, Expect::any),
      flags("u", {"-u"}),
      flags("B", {"-B"}),
      flags("I", {"-I"}, Expect::any),  // the module beside the script is then not found
      flags("E", {"-E"}),
      flags("s", {"-s"}),
      flags("S", {"-S"}),
      safe_path,
      flags("b", {"-b"}),
      flags("bb", {"-bb"}),
      flags("q", {"-q"}),
      flags("R", {"-R"}, Expect::any),
      flags("bundled", {"-bBus"}),
      flags("check_hash_based_pycs", {"--check-hash-based-pycs", "always"}, Expect::any),
      {.name = "I_without_module",
       .options = {"-I"},
       .target = {"dump_sys.py"},
       .env = {"PYTHONPATH=/nowhere"}},
      {.name = "E_ignores_variables",
       .options = {"-E"},
       .target = {"dump_sys.py"},
       .env = {"PYTHONPATH=/nowhere", "PYTHONOPTIMIZE=2"}},
      {.name = "version", .target = {"-V"}, .expect = Expect::exec},
      {.name = "long_version", .target = {"-VV"}, .expect = Expect::exec},
      {.name = "help", .target = {"-h"}, .expect = Expect::exec},
      {.name = "unknown_option", .target = {"-Z", "x.py"}, .expect = Expect::exec},
      {.name = "option_without_value", .target = {"-c"}, .expect = Expect::exec},
      {.name = "verbose_import",
       .options = {"-X", "frozen_modules"},
       .target = {"hello.py"},
       .expect = Expect::any},
      {.name = "skip_first_line",
       .options = {"-x"},
       .target = {"skip.py"},
       .expect = Expect::any,
       .files = {{"skip.py", "this is no Python\nprint(__file__)\n"}}},
      {.name = "interactive_after_script", .options = {"-i"}, .target = {"hello.py"}, .expect = Expect::exec},
      {.name = "program_on_stdin",
       .expect = Expect::exec,
       .in = Stream::pipe,
       .input = "print('from stdin')\n"},
      {.name = "dash",
       .target = {"-", "argument"},
       .expect = Expect::exec,
       .in = Stream::pipe,
       .input = "import sys; print(sys.argv)\n"},
      {.name = "option_after_script", .target = {"dump_arguments.py", "-O", "--python", "x", "--help"}},
      {.name = "traceback_in_dev_mode",
       .options = {"-X", "dev"},
       .target = {"open_file.py"},
       .expect = Expect::exec,
       .with = {"left_open.py"}},
      {.name = "warnings_as_errors", .options = {"-W", "error"}, .target = {"warn.py"}},
      {.name = "no_bytecode",
       .options = {"-B"},
       .target = {"modules.py"},
       .with = {"imported.py", "package", "broken_module.py"}},
      {.name = "optimized_modules",
       .options = {"-OO"},
       .target = {"modules.py"},
       .with = {"imported.py", "package", "broken_module.py"}},
      {.name = "unbuffered_output", .options = {"-u"}, .target = {"interleaved.py"}},
      {.name = "unbuffered_sys", .options = {"-u"}, .target = {"dump_sys.py"}},
      {.name = "no_site_main", .options = {"-S"}, .target = {"dump_main.py"}},
  };
}
KILN_TABLE(Options, option_rows());

Row variables(const std::string& name, const std::vector<std::string>& changes,
              Expect expect = Expect::bare) {
  return {.name = name, .target = {"dump_environment.py"}, .expect = expect, .env = changes};
}

std::vector<Row> environment_rows() {
  Row duplicates = variables("duplicates", {});
  duplicates.raw_env = {"DUPLICATE=first", "OTHER=1", "DUPLICATE=second"};
  Row odd_entries = variables("odd_entries", {});
  odd_entries.raw_env = {"NO_EQUALS", "", "=starts", "EMPTY=", "A=B=C", "SPACE IN NAME=1"};
  Row not_utf8 = variables("not_utf8", {});
  not_utf8.raw_env = {"BYTES=\xff\xfe", "\xe9=caf\xe9"};
  Row shell = {.name = "export", .target = {"subprocesses.py"}, .env = {"ADDED=x", "REMOVED=y", "LANG"}};
  return {
      variables("plain", {}),
      variables("more", {"B=2", "A=1", "KILN_PYTHON=/nowhere/else"}),
      variables("hash_seed", {"PYTHONHASHSEED=0"}),
      variables("no_lang", {"LANG"}),
      variables("c_locale", {"LANG", "LC_ALL=C"}),
      variables("posix_ctype", {"LANG", "LC_CTYPE=POSIX"}),
      variables("missing_locale", {"LC_ALL=xx_YY.UTF-8"}),
      variables("no_coercion", {"LANG", "PYTHONCOERCECLOCALE=0"}),
      variables("coercion_warns", {"LANG", "PYTHONCOERCECLOCALE=warn"}, Expect::any),
      variables("time_zone", {"TZ=Asia/Kolkata"}),
      variables("time_zone_by_rule", {"TZ=NST-3:30NDT,M3.2.0,M11.1.0"}),
      variables("no_home", {"HOME"}),
      variables("other_home", {"HOME={cwd}"}),
      duplicates,
      odd_entries,
      not_utf8,
      shell,
      {.name = "seeded_hashes",
       .target = {"-c", "print({'a', 'b', 'c', 'd'}, hash('x'))"},
       .env = {"PYTHONHASHSEED=0"}},
      {.name = "seeded_hashes_42", .target = {"-c", "print(hash('x'))"}, .env = {"PYTHONHASHSEED=42"}},
      {.name = "bad_hash_seed",
       .target = {"-c", "print(1)"},
       .expect = Expect::any,
       .env = {"PYTHONHASHSEED=x"}},
      {.name = "path_absolute",
       .target = {"-c", "import sys, helper; print(sys.path, helper.__file__)"},
       .expect = Expect::any,  // the harness makes the directory anew for each run, and an image with it
       .files = {{"lib dir/helper.py", "print('helper')\n"}},
       .env = {"PYTHONPATH={cwd}/lib dir:/nowhere"}},
      {.name = "path_relative",
       .target = {"-c", "import sys, helper; print(sys.path, helper.__file__)"},
       .expect = Expect::any,  // the harness makes the directory anew for each run, and an image with it
       .files = {{"lib/helper.py", "print('helper')\n"}},
       .env = {"PYTHONPATH=lib"}},
      {.name = "path_relative_elsewhere",
       .target = {"-c", "import sys, helper; print(sys.path, helper.__file__)"},
       .expect = Expect::any,  // the harness makes the directory anew for each run, and an image with it
       .files = {{"sub/lib/helper.py", "print('other helper')\n"}},
       .env = {"PYTHONPATH=lib"},
       .cwd = "sub"},
      {.name = "path_empty_entries",
       .target = {"-c", "import sys; print(sys.path)"},
       .expect = Expect::any,
       .env = {"PYTHONPATH=:lib::"}},
      {.name = "sitecustomize",
       .target = {"dump_flags.py"},
       .expect = Expect::any,
       .with = {"imported.py"},
       // Where no other row's image, which may just be made anew, looks for start-up code, and keeps its
       // bytecode.
       .files = {{"custom/sitecustomize.py",
                  "import os\nprint('customized', os.getcwd(), os.environ.get('SEEN'))\n"}},
       .env = {"PYTHONPATH={cwd}/custom", "PYTHONDONTWRITEBYTECODE=1", "SEEN=yes"}},
      {.name = "utf8_mode", .target = {"dump_streams.py"}, .env = {"PYTHONUTF8=1", "LC_ALL=C"}},
      {.name = "utf8_mode_off", .target = {"dump_streams.py"}, .env = {"PYTHONUTF8=0", "LC_ALL=C"}},
      {.name = "latin1_streams",
       .target = {"encoding_output.py"},
       .env = {"PYTHONIOENCODING=latin-1:replace"}},
      {.name = "ascii_streams_fail", .target = {"encoding_output.py"}, .env = {"PYTHONIOENCODING=ascii"}},
      {.name = "bad_io_encoding",
       .target = {"hello.py"},
       .expect = Expect::any,
       .env = {"PYTHONIOENCODING=nonsense"}},
      {.name = "c_locale_streams", .target = {"dump_streams.py"}, .env = {"LC_ALL=C"}},
      {.name = "unbuffered", .target = {"dump_sys.py"}, .env = {"PYTHONUNBUFFERED=1"}},
      {.name = "optimize", .target = {"dump_flags.py"}, .with = {"imported.py"}, .env = {"PYTHONOPTIMIZE=1"}},
      {.name = "warnings", .target = {"warn.py"}, .env = {"PYTHONWARNINGS=error::DeprecationWarning,ignore"}},
      {.name = "no_bytecode",
       .target = {"dump_flags.py"},
       .with = {"imported.py"},
       .env = {"PYTHONDONTWRITEBYTECODE=1"}},
      {.name = "cache_prefix",
       .target = {"dump_flags.py"},
       .with = {"imported.py"},
       .env = {"PYTHONPYCACHEPREFIX={cwd}/../prefix"}},
      {.name = "dev_mode",
       .target = {"dump_flags.py"},
       .expect = Expect::exec,
       .with = {"imported.py"},
       .env = {"PYTHONDEVMODE=1"}},
      {.name = "safe_path", .target = {"dump_sys.py"}, .since = 11, .env = {"PYTHONSAFEPATH=1"}},
      {.name = "breakpoint_off",
       .target = {"-c", "breakpoint(); print('on')"},
       .env = {"PYTHONBREAKPOINT=0"}},
      {.name = "malloc", .target = {"hello.py"}, .env = {"PYTHONMALLOC=malloc"}},
      {.name = "glibc", .target = {"dump_environment.py"}, .env = {"MALLOC_ARENA_MAX=1"}},
      {.name = "no_user_site", .target = {"dump_sys.py"}, .env = {"PYTHONNOUSERSITE=1"}},
      {.name = "inspect", .target = {"hello.py"}, .expect = Expect::any, .env = {"PYTHONINSPECT=1"}},
      {.name = "startup_file_is_not_read", .target = {"hello.py"}, .env = {"PYTHONSTARTUP=/nowhere"}},
  };
}
KILN_TABLE(Environment, environment_rows());

}  // namespace
}  // namespace kiln::e2e
