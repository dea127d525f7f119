// Mistakes that users make, and what each is told: a row a mistake, in the words that are printed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

struct Mistake {
  std::string name;
  std::vector<std::string> arguments;
  std::string err;  // all of it; $W is the work directory, $H the home of the test
  int exit_code = 0;
  std::vector<std::string> changes = {};  // of the environment
  std::string prepare = {};               // by the shell, in the work directory
};

void PrintTo(const Mistake& mistake, std::ostream* out) {
  *out << mistake.name;
}

std::string filled(std::string text) {
  for (const auto& [name, value] : {std::pair<std::string, std::string>{"$W", work_dir()},
                                    {"$H", home_dir()},
                                    {"$U", std::to_string(::geteuid())}}) {
    for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += value.size())
      text.replace(at, name.size(), value);
  }
  return text;
}

std::string error(const std::string& what, const std::string& hint) {
  return "error: " + what + "\n\nhint: " + hint + "\n";
}

const Mistake kMistakes[] = {
    // Commands and options.
    {"command",
     {"precompil", "a.py"},
     error("unknown command precompil; did you mean precompile?", "kiln --help"),
     2},
    {"command_like_none", {"frobnicate"}, error("unknown command frobnicate", "kiln --help"), 2},
    {"option_before_command", {"--verbose"}, error("unknown option --verbose", "kiln --help"), 2},
    {"option_of_its_own",
     {"--verison"},
     error("unknown option --verison; did you mean --version?", "kiln --help"),
     2},
    {"script_for_a_command",
     {"a.py", "two words", "--flag=it's"},
     error("a.py is no command of Kiln's", R"(kiln run a.py 'two words' '--flag=it'\''s')"),
     2},
    {"script_that_is_not_there", {"b.py"}, error("b.py is no command of Kiln's", "kiln run b.py"), 2},
    {"options_of_python",
     {"-m", "http.server"},
     error("-m is no command of Kiln's", "kiln run -m http.server"),
     2},
    {"interpreter_for_a_command",
     {"python3", "a.py"},
     error("python3 is no command of Kiln's", "kiln run --python python3 a.py"),
     2},
    {"program_for_a_command",
     {"env", "-i"},
     error("env is no command of Kiln's, but a program", "kiln x env -i"),
     2},
    {"version", {"version"}, error("unknown command version", "kiln --version"), 2},
    {"version_option", {"-v"}, error("unknown option -v", "kiln --version"), 2},
    {"status_for_an_action",
     {"daemon", "status"},
     error("status is a command, and no action", "kiln status"),
     2},
    {"action",
     {"daemon", "sart"},
     error("unknown action sart; did you mean start?", "kiln daemon --help"),
     2},
    {"no_action", {"daemon"}, error("which action?", "kiln daemon --help"), 2},
    {"action_with_more",
     {"daemon", "stop", "now"},
     error("unexpected argument now", "kiln daemon --help"),
     2},
    {"option",
     {"precompile", "--forec", "a.py"},
     error("unknown option --forec; did you mean --force?", "kiln precompile --help"),
     2},
    {"option_with_value",
     {"list", "--sate=error"},
     error("unknown option --sate; did you mean --state?", "kiln list --help"),
     2},
    {"option_like_none", {"status", "--verbose"}, error("unknown option --verbose", "kiln status --help"), 2},
    {"argument", {"stats", "today"}, error("unexpected argument today", "kiln stats --help"), 2},
    {"no_path", {"precompile"}, error("PATH is required", "kiln precompile --help"), 2},
    {"no_file", {"inspect"}, error("FILE is required", "kiln inspect --help"), 2},
    {"no_program", {"x"}, error("the name of a program is missing", "kiln x pytest"), 2},
    {"option_of_x",
     {"x", "-q", "pytest"},
     error("x has no option -q: a program's own come behind its name", "kiln x --help"),
     2},
    {"interpreter_of_x",
     {"x", "--python", "3.11", "pytest"},
     error("x has no option --python: the interpreter is that of the program's first line",
           "kiln run --python 3.11 -m pytest"),
     2},
    {"no_program_to_warm", {"warm", "x"}, error("the name of a program is missing", "kiln warm x pytest"), 2},
    {"no_program_to_explain",
     {"explain", "run", "x"},
     error("the name of a program is missing", "kiln explain run x pytest"),
     2},
    {"option_of_warm",
     {"warm", "--jsn", "a.py"},
     error("unknown option --jsn; did you mean --json?", "kiln warm --help"),
     2},
    {"option_of_warm_behind_pythons",
     {"warm", "-B", "--json", "a.py"},
     error("--json must come first", "kiln warm --help"),
     2},
    {"option_of_warm_and_an_interpreter",
     {"warm", "--python", "python3", "--pyhton=3.11", "a.py"},
     error("unknown option --pyhton; did you mean --python?", "kiln warm --help"),
     2},
    {"value_for_a_flag_of_warm",
     {"warm", "--json=1", "a.py"},
     error("--json takes no value", "kiln warm --help"),
     2},
    {"most_used_misspelt",
     {"warm", "--mostused"},
     error("unknown option --mostused; did you mean --most-used?", "kiln warm --help"),
     2},
    {"most_used_as_a_document",
     {"warm", "--json", "--most-used"},
     error("--most-used excludes --json", "kiln warm --help"),
     2},
    {"most_used_with_a_program",
     {"warm", "--most-used", "a.py"},
     error("unexpected argument a.py", "kiln warm --help"),
     2},
    {"most_used_with_an_option_misspelt",
     {"warm", "--most-used", "--quite"},
     error("unknown option --quite; did you mean --quiet?", "kiln warm --help"),
     2},
    {"quiet_without_most_used",
     {"warm", "--quiet", "a.py"},
     error("--quiet requires --most-used", "kiln warm --help"),
     2},
    {"option_of_explain_run",
     {"explain", "run", "--jsn", "a.py"},
     error("unknown option --jsn; did you mean --json?", "kiln explain run --help"),
     2},
    {"no_named_program_to_warm",
     {"warm", "x", "no-such-program"},
     error("no program no-such-program on PATH", "kiln x --help"),
     1},
    {"no_named_program_to_explain",
     {"explain", "run", "x", "no-such-program"},
     error("no program no-such-program on PATH", "kiln x --help"),
     1},
    // What is empty, as a variable is that was never set.
    {"command_of_no_name", {""}, error("the command's name is empty", "kiln --help"), 2},
    {"empty_file_to_inspect", {"inspect", ""}, error("FILE is empty", "kiln inspect --help"), 2},
    {"empty_path", {"precompile", "a.py", ""}, error("PATH is empty", "kiln precompile --help"), 2},
    {"empty_path_to_list", {"list", "--", ""}, error("PATH is empty", "kiln list --help"), 2},
    {"empty_file_to_explain", {"explain", ""}, error("FILE is empty", "kiln explain --help"), 2},
    {"empty_path_to_watch", {"watch", ""}, error("PATH is empty", "kiln watch --help"), 2},
    {"empty_program_to_warm", {"warm", ""}, error("which program?", "kiln warm --help"), 2},
    {"empty_program_to_explain",
     {"explain", "run", "--json", ""},
     error("which program?", "kiln explain run --help"),
     2},
    {"empty_name_to_warm",
     {"warm", "x", ""},
     error("the name of a program is missing", "kiln warm x pytest"),
     2},
    {"empty_argument", {"stats", ""}, error("unexpected argument ''", "kiln stats --help"), 2},
    {"empty_pattern",
     {"precompile", "--exclude", "", "a.py"},
     error("--exclude needs a value", "kiln precompile --help"),
     2},
    {"empty_state", {"list", "--state", ""}, error("--state needs a value", "kiln list --help"), 2},
    {"empty_state_attached",
     {"list", "--state=", "fresh"},
     error("--state needs a value", "kiln list --help"),
     2},
    {"empty_value_for_a_flag",
     {"precompile", "--check=", "a.py"},
     error("--check takes no value", "kiln precompile --help"),
     2},
    {"truth_for_a_flag",
     {"precompile", "--check=false", "a.py"},
     error("--check takes no value", "kiln precompile --help"),
     2},
    {"clean_without_what",
     {"clean"},
     error("what is of no use: --orphans, or --all?", "kiln clean --help"),
     2},
    {"excluding",
     {"config", "--describe", "--json"},
     error("--json excludes --describe", "kiln config --help"),
     2},
    // Values of options.
    {"level",
     {"precompile", "-o", "7", "a.py"},
     error("-o: not a number from 0 to 2: 7", "kiln precompile --help"),
     2},
    {"jobs",
     {"precompile", "-j", "many", "a.py"},
     error("--jobs: not a number from 0 to 256: many", "kiln precompile --help"),
     2},
    {"mode",
     {"precompile", "--invalidation-mode", "md5", "a.py"},
     error("--invalidation-mode: md5 is none of timestamp, checked-hash, unchecked-hash",
           "kiln precompile --help"),
     2},
    {"state",
     {"list", "--state", "broken"},
     error("--state: broken is none of fresh, stale, error, orphan", "kiln list --help"),
     2},
    {"state_misspelt",
     {"list", "--state", "fersh"},
     error("--state: fersh is none of fresh, stale, error, orphan; did you mean fresh?", "kiln list --help"),
     2},
    {"shell",
     {"shell-init", "zhs"},
     error("SHELL: zhs is none of bash, zsh, fish; did you mean zsh?", "kiln shell-init --help"),
     2},
    {"value_missing", {"list", "--sort"}, error("--sort needs a value", "kiln list --help"), 2},
    {"value_of_lines_missing",
     {"daemon", "logs", "-n"},
     error("--lines needs a value", "kiln daemon logs --help"),
     2},
    {"value_twice",
     {"list", "--state", "error", "--state", "fresh"},
     error("--state is given twice, and takes one value", "kiln list --help"),
     2},
    {"option_in_the_place_of_a_path",
     {"precompile", "-rf.py"},
     error("unknown option -rf.py", "kiln precompile --help"),
     2},
    {"value_for_a_flag", {"list", "--json=x"}, error("--json takes no value", "kiln list --help"), 2},
    {"limit", {"list", "--limit", "0"}, error("--limit: not a count of 1 or more: 0", "kiln list --help"), 2},
    {"lines",
     {"daemon", "logs", "-n", "-1"},
     error("--lines: not a count of 0 or more: -1", "kiln daemon logs --help"),
     2},
    {"limit_of_very_many_digits",
     {"list", "--limit", std::string(400, '9')},
     error("--limit: not a count of 1 or more: " + std::string(40, '9'), "kiln list --help"),
     2},
    {"size",
     {"gc", "--limit", "lots"},
     error("--limit: not a size such as 500MB or 2GiB: lots", "kiln gc --help"),
     2},
    // Interpreters.
    {"interpreter_of_no_name",
     {"run", "--python", "", "a.py"},
     error("the interpreter's name is empty", "kiln run --python /usr/bin/python3 a.py"),
     2},
    {"interpreter_name",
     {"precompile", "--python", "nope", "a.py"},
     error("no interpreter named nope on PATH", "kiln precompile --python /usr/bin/python3 a.py"),
     2},
    {"interpreter_version",
     {"run", "--python", "3.99", "a.py"},
     error("no interpreter of Python 3.99 on PATH, in /usr/local/bin or /usr/bin, of pyenv or uv",
           "kiln run --python /usr/bin/python3 a.py"),
     2,
     {"PATH=/usr/bin:/bin"}},
    {"interpreter_version_for_a_manager",
     {"run", "--python", "3.99", "a.py"},
     error("no interpreter of Python 3.99 on PATH, in /usr/local/bin or /usr/bin, of pyenv or uv",
           "uv python install 3.99"),
     2,
     {"PATH=$W/bin:/usr/bin:/bin"},
     "mkdir bin; echo '#!/bin/sh' > bin/uv; chmod +x bin/uv"},
    {"interpreter_is_no_program",
     {"run", "--python", "/etc/passwd", "a.py"},
     error("no interpreter /etc/passwd", "kiln run --python /usr/bin/python3 a.py"),
     2},
    {"interpreter_is_another_program",
     {"precompile", "--python", "/bin/true", "a.py"},
     error("/bin/true is no Python interpreter: its answer makes no sense",
           "kiln precompile --python /usr/bin/python3 a.py"),
     1},
    {"interpreter_fails",
     {"precompile", "--python", "/bin/false", "a.py"},
     error("/bin/false is no Python interpreter: asked for its version, it failed",
           "kiln precompile --python /usr/bin/python3 a.py"),
     1},
    {"interpreter_cannot_be_executed",
     {"precompile", "--python", "d/text", "a.py"},
     error("$W/d/text is no Python interpreter: the system cannot execute it",
           "kiln precompile --python /usr/bin/python3 a.py"),
     1,
     {},
     "echo text > d/text; chmod +x d/text"},
    {"interpreter_is_a_directory",
     {"run", "--python", "d", "a.py"},
     error("no interpreter d/bin/python", "kiln run --python /usr/bin/python3 a.py"),
     2},
    {"environment_is_broken",
     {"precompile", "--python", "venv", "a.py"},
     error("no interpreter venv/bin/python", "kiln precompile --python /usr/bin/python3 a.py"),
     2,
     {},
     "mkdir -p venv/bin; ln -s /nowhere/python3 venv/bin/python"},
    {"no_interpreter_on_path",
     {"run", "a.py"},
     error("no interpreter named python3 on PATH", "export KILN_PYTHON=/usr/bin/python3"),
     2,
     {"PATH=/nowhere"}},
    {"interpreter_of_variable",
     {"run", "a.py"},
     error("no interpreter named pyhton3 on PATH, as KILN_PYTHON has it",
           "export KILN_PYTHON=/usr/bin/python3"),
     2,
     {"KILN_PYTHON=pyhton3"}},
    {"interpreter_is_not_executable",
     {"precompile", "--python", "./python", "a.py"},
     error("./python cannot be executed: it is not marked as a program", "chmod +x ./python"),
     1,
     {},
     "echo '#!/bin/sh' > python"},
    {"interpreter_of_a_first_line_that_leads_nowhere",
     {"precompile", "--python", "./python", "a.py"},
     error("$W/python is no Python interpreter: the program in its first line is not there",
           "kiln precompile --python /usr/bin/python3 a.py"),
     1,
     {},
     "echo '#!/gone/python' > python; chmod +x python"},
    {"interpreter_of_an_environment_that_is_gone",
     {"run", "--python", "./python", "a.py"},
     error("cannot start ./python: the program in its first line is not there", "head -n 1 ./python"),
     127,
     {"KILN_LOG"},
     "echo '#!/gone/python' > python; chmod +x python"},
    {"environment_without_interpreter",
     {"precompile", "--quiet", "a.py"},
     "warning: the virtual environment $W/d has no interpreter any more\n\nhint: unset VIRTUAL_ENV\n",
     0,
     {"KILN_PYTHON", "VIRTUAL_ENV=$W/d", "PATH=/usr/bin:/bin"}},
    // Files and directories.
    {"explain_missing",
     {"explain", "nope.py"},
     error("Kiln knows nothing of $W/nope.py, and there is no such file", "kiln list"),
     1},
    {"explain_of_two_lines",
     {"explain", "no\npe.py"},
     error("Kiln knows nothing of $W/no\\x0ape.py, and there is no such file", "kiln list"),
     1},
    {"explain_no_source",
     {"explain", "/etc/passwd"},
     error("Kiln knows nothing of /etc/passwd, which is not named *.py", "kiln list"),
     1},
    {"explain_misspelt_run",
     {"explain", "rn", "a.py"},
     error("rn is no file; did you mean run?", "kiln explain run a.py"),
     2},
    {"help_of_a_misspelt_command",
     {"help", "lst"},
     error("unknown command lst; did you mean list?", "kiln --help"),
     2},
    {"watch_several_missing",
     {"watch", "nope", "nor"},
     error("cannot watch $W/nope: No such file or directory", "ls $W") +
         error("cannot watch $W/nor: No such file or directory", "ls $W"),
     1},
    {"explain_directory", {"explain", "d"}, error("$W/d is a directory", "kiln list $W/d"), 1},
    {"explain_circle",
     {"explain", "circle.py"},
     error("$W/circle.py cannot be reached: Too many levels of symbolic links", "namei -l $W/circle.py"),
     1,
     {},
     "ln -s circle.py circle.py"},
    {"explain_device", {"explain", "/dev/null"}, error("/dev/null is not a file", "kiln list"), 1},
    {"list_of_what_is_no_interpreter",
     {"list", "--python", "/bin/ls"},
     error("/bin/ls is no Python interpreter: asked for its version, it failed",
           "kiln list --python /usr/bin/python3"),
     1},
    {"list_of_what_has_compiled_nothing",
     {"list", "--python", "/usr/bin/python3", "d"},
     "warning: Kiln knows nothing there that /usr/bin/python3 has compiled\n\nhint: kiln status\n",
     0},
    {"watch_for_what_is_no_interpreter",
     {"watch", "--policy", "all", "--python", "/bin/ls", "d"},
     error("/bin/ls is no Python interpreter: asked for its version, it failed",
           "kiln watch --policy all --python /usr/bin/python3 d"),
     1},
    {"warm_by_what_is_no_interpreter",
     {"warm", "--python", "/bin/ls", "a.py"},
     error("/bin/ls is no Python interpreter: asked for its version, it failed",
           "kiln warm --python /usr/bin/python3 a.py"),
     1},
    {"explain_run_by_what_is_no_interpreter",
     {"explain", "run", "--python", "/bin/ls", "a.py"},
     error("/bin/ls is no Python interpreter: asked for its version, it failed",
           "kiln explain run --python /usr/bin/python3 a.py"),
     1},
    {"warm_by_what_the_variable_has",
     {"warm", "a.py"},
     error("/bin/ls is no Python interpreter: asked for its version, it failed",
           "export KILN_PYTHON=/usr/bin/python3"),
     1,
     {"KILN_PYTHON=/bin/ls"}},
    {"explain_run_by_what_the_variable_has",
     {"explain", "run", "a.py"},
     error("/bin/ls is no Python interpreter: asked for its version, it failed",
           "export KILN_PYTHON=/usr/bin/python3"),
     1,
     {"KILN_PYTHON=/bin/ls"}},
    {"watch_for_what_the_variable_has",
     {"watch", "--policy", "all", "d"},
     error("/bin/ls is no Python interpreter: asked for its version, it failed",
           "export KILN_PYTHON=/usr/bin/python3"),
     1,
     {"KILN_PYTHON=/bin/ls"}},
    {"warm_of_a_first_line_of_env",
     {"warm", "x", "./p", "two words"},
     error("no interpreter named python3.99 on PATH", "kiln warm --python /usr/bin/python3 ./p 'two words'"),
     2,
     {},
     "echo '#!/usr/bin/env python3.99' > p; chmod +x p"},
    {"warm_of_a_first_line_of_path",
     {"warm", "x", "./p", "two words"},
     error("no interpreter /nosuch/python3", "kiln warm --python /usr/bin/python3 ./p 'two words'"),
     2,
     {},
     "echo '#!/nosuch/python3' > p; chmod +x p"},
    {"explain_run_of_a_first_line_of_env",
     {"explain", "run", "x", "./p", "two words"},
     error("no interpreter named python3.99 on PATH",
           "kiln explain run --python /usr/bin/python3 ./p 'two words'"),
     2,
     {},
     "echo '#!/usr/bin/env python3.99' > p; chmod +x p"},
    {"explain_run_of_a_first_line_of_path",
     {"explain", "run", "x", "./p", "two words"},
     error("no interpreter /nosuch/python3", "kiln explain run --python /usr/bin/python3 ./p 'two words'"),
     2,
     {},
     "echo '#!/nosuch/python3' > p; chmod +x p"},
    {"x_misspelt_with_arguments",
     {"x", "mytol", "a", "-b", "c d"},
     error("no program mytol on PATH; did you mean mytool?", "kiln x mytool a -b 'c d'"),
     127,
     {"PATH=$W/d:/usr/bin:/bin"},
     "echo > d/mytool; chmod +x d/mytool"},
    {"warm_x_misspelt_with_arguments",
     {"warm", "x", "mytol", "a", "-b", "c d"},
     error("no program mytol on PATH; did you mean mytool?", "kiln warm x mytool a -b 'c d'"),
     1,
     {"PATH=$W/d:/usr/bin:/bin"},
     "echo > d/mytool; chmod +x d/mytool"},
    {"explain_run_x_misspelt_with_arguments",
     {"explain", "run", "x", "mytol", "a", "-b", "c d"},
     error("no program mytol on PATH; did you mean mytool?", "kiln explain run x mytool a -b 'c d'"),
     1,
     {"PATH=$W/d:/usr/bin:/bin"},
     "echo > d/mytool; chmod +x d/mytool"},
    {"list_of_an_interpreter_that_was_never_there",
     {"list", "--python", "/nosuch/python"},
     error("no interpreter /nosuch/python", "kiln list --python /usr/bin/python3"),
     2},
    {"list_of_a_link_to_no_interpreter",
     {"list", "--python", "d/python"},
     error("no interpreter d/python", "kiln list --python /usr/bin/python3"),
     2,
     {},
     "ln -s /nosuch/python d/python"},
    {"list_missing",
     {"list", "a.py", "nope"},
     error("Kiln knows nothing of $W/nope, and there is no such file", "kiln list"),
     1},
    {"list_missing_below_another",
     {"list", "d", "d/nope"},
     error("Kiln knows nothing of $W/d/nope, and there is no such file", "kiln list"),
     1},
    {"list_misspelt",
     {"list", "sources/sub"},
     error("Kiln knows nothing of $W/sources/sub, and there is no such file; did you mean $W/source?",
           "kiln list"),
     1,
     {},
     "mkdir source"},
    {"list_circle",
     {"list", "circle"},
     error("Kiln knows nothing of $W/circle, and it cannot be reached: Too many levels of symbolic links",
           "kiln list"),
     1,
     {},
     "ln -s circle circle"},
    {"clean_missing",
     {"clean", "--orphans", "nope"},
     error("Kiln knows nothing of $W/nope, and there is no such file", "kiln list --state orphan"),
     1},
    {"clean_without_orphans", {"clean", "--orphans", "d"}, "there was nothing to remove\n", 0},
    {"config_of_nothing", {"config", ""}, error("PATH is empty", "kiln config --help"), 2},
    {"config_missing", {"config", "nope"}, error("$W/nope: there is no such file", "kiln config"), 1},
    {"config_path_missing",
     {"config", "--path", "nope"},
     error("$W/nope: there is no such file", "kiln config"),
     1},
    {"precompile_bytecode",
     {"precompile", "a.pyc"},
     error("a.pyc is bytecode already: it is its source that is compiled", "kiln inspect a.pyc"),
     1,
     {},
     "touch a.pyc"},
    {"inspect_missing",
     {"inspect", "nope.pyc"},
     error("cannot open nope.pyc: No such file or directory", "ls ."),
     1},
    {"inspect_source",
     {"inspect", "a.py"},
     error("a.py is no bytecode file of Python", "kiln explain a.py"),
     1},
    {"inspect_directory", {"inspect", "d"}, error("d is not a file", "kiln list d"), 1},
    {"watch_missing",
     {"watch", "nope"},
     error("cannot watch $W/nope: No such file or directory", "ls $W"),
     1},
    {"watch_file", {"watch", "a.py"}, error("$W/a.py is no directory", "kiln watch $W"), 1},
    {"follow_missing",
     {"watch", "--follow", "nope"},
     error("Kiln knows nothing of $W/nope, and there is no such file", "kiln status"),
     1},
    {"unwatch_unwatched", {"unwatch", "d"}, error("$W/d is not watched", "kiln status"), 1},
    {"program_missing",
     {"x", "no-such-program"},
     error("no program no-such-program on PATH", "kiln x --help"),
     127},
    {"program_misspelt",
     {"x", "no-such-proram"},
     error("no program no-such-proram on PATH; did you mean no-such-program?", "kiln x no-such-program"),
     127,
     {"PATH=$W/bin:/usr/bin:/bin"},
     "mkdir bin; echo '#!/bin/sh' > bin/no-such-program; chmod +x bin/no-such-program"},
    {"program_of_an_environment",
     {"x", "no-such-program"},
     error("no program no-such-program on PATH, but one in an environment here",
           "kiln x .venv/bin/no-such-program"),
     127,
     {},
     "mkdir -p .venv/bin; echo '#!/bin/sh' > .venv/bin/no-such-program; chmod +x .venv/bin/no-such-program"},
    {"source_missing", {"precompile", "nope.py"}, "nope.py: no such file or directory\n\nhint: ls .\n", 1},
    {"source_misspelt",
     {"precompile", "badd.py"},
     "badd.py: no such file or directory; did you mean $W/bad.py?\n\nhint: ls .\n",
     1},
    {"sources_missing",
     {"precompile", "--quiet", "d/b.py", "nope/c.py", "d", "/etc/passwd/x.py"},
     "d/b.py: no such file or directory\nnope/c.py: no such file or directory\n"
     "/etc/passwd/x.py: not a directory\n\nhint: ls d\nhint: namei -l /etc/passwd/x.py\n",
     1},
    {"source_does_not_compile", {"precompile", "bad.py"}, "bad.py:1:1: SyntaxError: ", 1},
    {"log_missing",
     {"daemon", "logs"},
     error("there is no log at $W/d/kilnd.log", "kiln daemon start"),
     1,
     {"KILN_CACHE_DIR=$W/d", "KILN_RUNTIME_DIR=$W/r"}},
    {"log_of_another_cache",
     {"daemon", "logs"},
     "error: the daemon that is running keeps its cache in ",
     1,
     {"KILN_CACHE_DIR=$W/d"}},
    // The configuration.
    {"configuration_that_is_not_there",
     {"config", "--path"},
     "warning: KILN_CONFIG names $W/nope.toml: there is no such file\n\nhint: unset KILN_CONFIG\n",
     0,
     {"KILN_CONFIG=$W/nope.toml"}},
    {"misspelt_variable",
     {"config", "--path"},
     "warning: KILN_STORE_LIMT is no variable of Kiln's; did you mean KILN_STORE_LIMIT?\n\n"
     "hint: unset KILN_STORE_LIMT\n",
     0,
     {"KILN_STORE_LIMT=1"}},
    {"key",
     {"config"},
     error("$W/kiln.toml:2: unknown key store.limt; did you mean store.limit?", "kiln config --describe"),
     1,
     {"KILN_CONFIG=$W/kiln.toml"},
     "printf '[store]\\nlimt = \"1GiB\"\\n' > kiln.toml"},
    {"key_without_its_section",
     {"config"},
     error("$W/kiln.toml:1: unknown key limit; did you mean images.limit, store.limit, overlay.limit or "
           "watch.limit?",
           "kiln config --describe"),
     1,
     {"KILN_CONFIG=$W/kiln.toml"},
     "echo 'limit = \"1GiB\"' > kiln.toml"},
    {"key_of_another_section",
     {"config"},
     error("$W/kiln.toml:2: unknown key images.policy; did you mean watch.policy?", "kiln config --describe"),
     1,
     {"KILN_CONFIG=$W/kiln.toml"},
     "printf '[images]\\npolicy = \"all\"\\n' > kiln.toml"},
    {"value",
     {"precompile", "."},
     error("$W/kiln.toml:1: images.limit is a number from 1 to 1024", "kiln config --describe"),
     1,
     {"KILN_CONFIG=$W/kiln.toml"},
     "echo 'images.limit = 0' > kiln.toml"},
    {"value_for_a_file",
     {"precompile", "a.py"},
     error("$W/kiln.toml:1: images.limit is a number from 1 to 1024", "kiln config --describe"),
     1,
     {"KILN_CONFIG=$W/kiln.toml"},
     "echo 'images.limit = 0' > kiln.toml"},
    {"no_toml",
     {"config"},
     error("$W/kiln.toml:1: Error while parsing key-value pair: expected value, saw '\\n'",
           "kiln config --describe"),
     1,
     {"KILN_CONFIG=$W/kiln.toml"},
     "echo 'x =' > kiln.toml"},
    {"key_of_the_daemon",
     {"config"},
     error("$W/kiln.toml:1: store.limit concerns the whole daemon: only the user's own file may set it",
           "kiln config --describe"),
     1,
     {},
     "echo 'store.limit = \"1GiB\"' > kiln.toml"},
    {"configuration_is_a_directory",
     {"config"},
     error("cannot read $W/d: it is not a file", "unset KILN_CONFIG"),
     1,
     {"KILN_CONFIG=$W/d"}},
    {"configuration_is_none", {"config", "--path"}, "", 0, {"KILN_CONFIG=/dev/null"}},
    {"a_name_for_what_is_set_aside_is_free",
     {"config"},
     error("cannot read $W/kiln.toml: it is not a file", "mv $W/kiln.toml $W/kiln.toml.aside2"),
     1,
     {},
     "mkdir kiln.toml kiln.toml.aside"},
    {"configuration_of_the_project_is_a_directory",
     {"config"},
     error("cannot read $W/kiln.toml: it is not a file", "mv $W/kiln.toml $W/kiln.toml.aside"),
     1,
     {},
     "mkdir kiln.toml"},
    {"configuration_of_a_daemon_that_is_started",
     {"daemon", "start"},
     "warning: $W/user.toml:1: unknown key colour\n\nhint: kiln config --describe\n",
     0,
     {"KILN_CONFIG=$W/user.toml"},
     "echo 'colour = 1' > user.toml"},
    {"variable",
     {"config"},
     error("KILN_STORE_LIMIT: store.limit is a size in whole units such as \"500MB\" or \"2GiB\"",
           "unset KILN_STORE_LIMIT"),
     1,
     {"KILN_STORE_LIMIT=lots"}},
    // Where Kiln keeps its things.
    {"relative_runtime_directory",
     {"status"},
     error("KILN_RUNTIME_DIR is not an absolute path: run", "unset KILN_RUNTIME_DIR"),
     3,
     {"KILN_RUNTIME_DIR=run"}},
    {"no_home",
     {"daemon", "logs"},
     error("neither HOME nor KILN_CACHE_DIR is set", "export KILN_CACHE_DIR=/var/tmp/kiln-$U"),
     3,
     {"HOME", "KILN_CACHE_DIR"}},
    {"no_daemon",
     {"status"},
     error("no daemon is running", "kiln daemon start"),
     3,
     {"KILN_RUNTIME_DIR=$W/none"}},
    {"runtime_directory_is_a_file",
     {"daemon", "start"},
     error("cannot open $W/a.py: Not a directory", "unset KILN_RUNTIME_DIR"),
     3,
     {"KILN_RUNTIME_DIR=$W/a.py", "XDG_RUNTIME_DIR=$W"}},
    {"cache_directory_is_a_file",
     {"daemon", "start"},
     error("cannot open $W/a.py: Not a directory", "unset KILN_CACHE_DIR"),
     3,
     {"KILN_RUNTIME_DIR=$W/run", "KILN_CACHE_DIR=$W/a.py"}},
    {"cache_directory_is_a_link",
     {"daemon", "start"},
     error("$W/link is a symbolic link, which Kiln does not follow", "export KILN_CACHE_DIR=$W/d"),
     3,
     {"KILN_RUNTIME_DIR=$W/run", "KILN_CACHE_DIR=$W/link"},
     "ln -s d link"},
    {"run_where_no_daemon_can_start",  // in the background it is tried all the same: $W is gone by then
     {"run", "a.py"},
     "kiln: exec reason=no-daemon (no daemon is running, and none can start: cannot open /etc/passwd: Not a "
     "directory)\n",
     0,
     {"KILN_LOG=1", "KILN_RUNTIME_DIR=$H/run-of-none", "KILN_CACHE_DIR=/etc/passwd"}},
    {"run_where_the_socket_is_a_directory",
     {"run", "a.py"},
     "kiln: exec reason=no-daemon (no daemon is running, and none can start: "
     "$H/run-of-none-either/kilnd.sock is no "
     "socket)\n",
     0,
     {"KILN_LOG=1", "KILN_RUNTIME_DIR=$H/run-of-none-either"},
     "mkdir -m 700 $H/run-of-none-either; mkdir $H/run-of-none-either/kilnd.sock"},
    {"cache_directory_is_open",
     {"daemon", "start"},
     error("$W/d can be written by other users", "chmod 700 $W/d"),
     3,
     {"KILN_RUNTIME_DIR=$W/run", "KILN_CACHE_DIR=$W/d"},
     "chmod 777 d"},
    {"socket_is_a_directory",
     {"daemon", "start"},
     error("cannot listen on $W/d/kilnd.sock: Address already in use", "rm -r $W/d/kilnd.sock"),
     3,
     {"KILN_RUNTIME_DIR=$W/d", "KILN_CACHE_DIR=$W/cache"},
     "chmod 700 d; mkdir d/kilnd.sock"},
    {"log_is_a_directory",
     {"daemon", "start"},
     error("cannot write the log $W/d/kilnd.log: Is a directory", "mv $W/d/kilnd.log $W/d/kilnd.log.old"),
     3,
     {"KILN_RUNTIME_DIR=$W/run", "KILN_CACHE_DIR=$W/d"},
     "chmod 700 d; mkdir d/kilnd.log"},
    {"program_is_a_directory",
     {"x", "./d"},
     error("cannot run ./d: it is a directory", "kiln x --help"),
     126,
     {"KILN_LOG"}},
    {"program_is_not_executable",
     {"x", "./a.py"},
     error("cannot run ./a.py: Permission denied", "chmod +x ./a.py"),
     126,
     {"KILN_LOG"}},
    {"program_of_an_environment_that_is_gone",
     {"x", "./p"},
     error("cannot run ./p: the program in its first line is not there", "head -n 1 ./p"),
     127,
     {"KILN_LOG"},
     "echo '#!/gone/bin/python' > p; chmod +x p"},
    {"runtime_directory_is_open",
     {"daemon", "start"},
     error("$W/d can be written by other users", "chmod 700 $W/d"),
     3,
     {"KILN_RUNTIME_DIR=$W/d"},
     "chmod 777 d"},
    {"runtime_directory_is_the_systems",
     {"daemon", "start"},
     error("$W/d can be written by other users", "unset KILN_RUNTIME_DIR"),
     3,
     {"KILN_RUNTIME_DIR=$W/d", "XDG_RUNTIME_DIR=$W"},
     "chmod 1777 d; touch d/another"},
};

class Mistakes : public testing::TestWithParam<Mistake> {
 protected:
  void SetUp() override {
    write_file(home_dir() + "/kiln.toml", "watch.policy = \"none\"\n");  // which KILN_CONFIG names
    kiln({"daemon", "start"});
    reset_work_dir();
    write_file(work_dir() + "/a.py", "x = 1\n");
    write_file(work_dir() + "/bad.py", "?\n");
    fs::create_directory(work_dir() + "/d");
  }
};

TEST_P(Mistakes, AreToldWithTheCommandThatHelps) {
  const Mistake& mistake = GetParam();
  run({.argv = {"/bin/sh", "-c", filled(mistake.prepare)}});
  std::vector<std::string> changes;
  for (const auto& change : mistake.changes) changes.push_back(filled(change));
  const Outcome outcome = kiln(mistake.arguments, changes);
  const std::string expected = filled(mistake.err);
  if (expected.ends_with('\n')) {
    EXPECT_EQ(outcome.err, expected);
  } else {  // the rest is the interpreter's own wording
    EXPECT_EQ(outcome.err.substr(0, expected.size()), expected);
  }
  EXPECT_EQ(describe_status(outcome.status), "exit " + std::to_string(mistake.exit_code));
}

INSTANTIATE_TEST_SUITE_P(All, Mistakes, testing::ValuesIn(kMistakes),
                         [](const auto& info) { return info.param.name; });

// Who asks how things are gets his answer, and hears of the mistake.
TEST(ConfigurationMistakes, AreToldByWhatDoesNotNeedTheConfiguration) {
  reset_work_dir();
  write_file(work_dir() + "/a.py", "x = 1\n");
  kiln({"precompile", "a.py"});
  write_file(work_dir() + "/kiln.toml", "[images]\nlimt = 3\n");
  const std::string warning =
      "warning: " + work_dir() +
      "/kiln.toml:2: unknown key images.limt; did you mean images.limit?\n\nhint: kiln "
      "config --describe\n";
  const std::vector<std::vector<std::string>> commands{{"status"}, {"list", "."}, {"explain", "a.py"}};
  for (const auto& command : commands) {
    const Outcome outcome = kiln(command);
    EXPECT_EQ(outcome.err, warning) << command[0];
    EXPECT_NE(outcome.out, "") << command[0];
    EXPECT_EQ(describe_status(outcome.status), "exit 0") << command[0];
  }
}

// What only root can bring about.
TEST(RootMistakes, ACacheOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  reset_work_dir();
  const std::string place = work_dir() + "/cache";
  fs::create_directory(place);
  ASSERT_EQ(::chown(place.c_str(), 65534, 65534), 0);
  const Outcome outcome =
      kiln({"daemon", "start"}, {"KILN_CACHE_DIR=" + place, "KILN_RUNTIME_DIR=" + work_dir() + "/run"});
  EXPECT_EQ(outcome.err, error(place + " belongs to another user", "unset KILN_CACHE_DIR"));
  EXPECT_EQ(describe_status(outcome.status), "exit 3");
}

// In a mount namespace of its own: daemon, COMMAND and a disk of four blocks that are taken.
Outcome with_a_full_disk(const std::string& command, const std::string& prepare = ":") {
  const std::string disk = work_dir() + "/disk";
  fs::create_directories(disk);
  const std::string script = "mkdir -m 700 disk/cache; " + prepare + "; cat /dev/zero > disk/all 2>&-; '" +
                             kiln_binary() + "' daemon start > /dev/null; '" + kiln_binary() + "' " +
                             command + "; code=$?; '" + kiln_binary() +
                             "' daemon stop > /dev/null; exit $code";
  Invocation invocation{.argv = {"/bin/sh", "-c", script},
                        .environment = environment_with({"KILN_CACHE_DIR=" + disk + "/cache",
                                                         "KILN_RUNTIME_DIR=" + work_dir() + "/run"})};
  invocation.in_child = [&disk] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("disk", disk.c_str(), "tmpfs", 0, "size=16k,mode=0700") != 0)
      ::_exit(126);
  };
  return run(invocation);
}

TEST(RootMistakes, AFullDisk) {
  reset_work_dir();
  const Outcome outcome = with_a_full_disk("list");
  if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "nothing can be mounted here";
  EXPECT_EQ(outcome.err, error("the index failed: database or disk is full", "kiln doctor"));
  EXPECT_EQ(describe_status(outcome.status), "exit 3");
}

// The bytecode lies elsewhere, and is there.
TEST(RootMistakes, AFullDiskWhereNothingIsKept) {
  reset_work_dir();
  write_file(work_dir() + "/a.py", "x = 1\n");
  const Outcome outcome = with_a_full_disk("precompile a.py");
  if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "nothing can be mounted here";
  EXPECT_EQ(outcome.err, "warning: the disk of " + work_dir() +
                             "/disk/cache is full: what was compiled is in its place, but Kiln cannot note "
                             "it\n\nhint: kiln doctor\n");
  EXPECT_EQ(describe_status(outcome.status), "exit 0");
}

TEST(RootMistakes, AFullDiskWhereNothingIsCompiled) {
  reset_work_dir();
  const Outcome outcome = with_a_full_disk("precompile disk/a.py", ": > disk/a.py");
  if (describe_status(outcome.status) == "exit 126") GTEST_SKIP() << "nothing can be mounted here";
  EXPECT_THAT(outcome.err, testing::HasSubstr(": No space left on device\n"));
  EXPECT_THAT(outcome.err, testing::Not(testing::HasSubstr("what was compiled is in its place")));
  EXPECT_THAT(outcome.out, testing::HasSubstr("compiled 0, fresh 0, errors 1"));
}

TEST(WatchMistakes, ATreeOfWhichNothingIsHeard) {
  const Outcome outcome = kiln({"watch", "/proc/sys/fs"});
  EXPECT_EQ(outcome.err,
            error("changes in /proc/sys/fs are not heard: proc file system: not all changes are heard",
                  "kiln watch ."));
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  EXPECT_EQ(kiln({"unwatch", "/proc/sys/fs"}).err, error("/proc/sys/fs is not watched", "kiln status"));
}

// Who starts the daemon decides: its limits are those of its start.
TEST(DaemonMistakes, ATreeThatIsTooLargeToBeWatched) {
  reset_work_dir();
  kiln({"daemon", "stop"});
  kiln({"daemon", "start"}, {"KILN_WATCH_LIMIT=1"});
  fs::create_directories(work_dir() + "/tree/deep");
  const Outcome outcome = kiln({"watch", "tree"});
  EXPECT_EQ(
      outcome.err,
      error("changes in " + work_dir() +
                "/tree are not heard, and it is looked at instead: no watch is left: watch.limit grants 1",
            "KILN_WATCH_LIMIT=100% kiln daemon restart"));
  EXPECT_EQ(describe_status(outcome.status), "exit 1");
  kiln({"unwatch", "tree"});
  kiln({"daemon", "restart"});
}

}  // namespace
}  // namespace kiln::e2e
