// `kiln watch` and `kiln unwatch`: directories whose bytecode is kept up to date.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "client/command.h"
#include "client/current_path.h"
#include "client/daemon_cache.h"
#include "client/follow.h"
#include "client/interpreter_check.h"
#include "client/interpreter_choice.h"
#include "client/interrupt_note.h"
#include "client/known_path.h"
#include "client/own_umask.h"
#include "client/patience.h"
#include "common/arguments.h"
#include "common/config.h"
#include "common/file_system_kind.h"
#include "common/path_error.h"
#include "common/print_error.h"
#include "common/printable.h"
#include "common/shell_word.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

Result<void> check_directory(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return path_error("cannot watch", path, Reason::target_missing);
  }
  if (!S_ISDIR(status.st_mode)) {
    const std::string above = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
    return Error{Reason::usage, path + " is no directory", "kiln watch " + shell_word(above)};
  }
  return {};
}

// Nor does the daemon give up what was asked for with who has asked: it may have been watched before, and
// what takes long would take as long the next time.
Error stays_watched(const std::string& root) {
  return {Reason::system, root + " stays watched: the daemon goes on looking through it",
          "kiln unwatch " + shell_word(root)};
}

Result<Connection> send(proto::WatchRequest wanted) {
  Connection connection = TRY(Connection::open_or_start());
  proto::Request request;
  *request.mutable_watch() = std::move(wanted);
  TRY_VOID(connection.send(std::move(request)));
  return connection;
}

Result<proto::WatchReply> ask_to_watch(const std::string& root, proto::WatchRequest wanted) {
  Connection connection = TRY(send(std::move(wanted)));
  const InterruptNote note(stays_watched(root));
  return TRY(receive_patiently(connection, "watching")).watch();
}

Result<proto::WatchReply> ask_to_unwatch(proto::WatchRequest wanted) {
  Connection connection = TRY(send(std::move(wanted)));
  return TRY(receive_patiently(connection, "unwatching")).watch();
}

struct WatchArguments {
  std::vector<std::string> paths;
  std::optional<std::string> policy;
  std::vector<std::string> pythons;
  bool follow = false;
};

// The configuration of ROOT with what goes before the files: REQUEST gets what of the environment was looked
// at, and the options, as variables.
Result<Config> add_configuration(const std::string& root, const WatchArguments& arguments,
                                 proto::WatchRequest& request) {
  const Variables variables = [&](const char* name) {
    const bool by_option = arguments.policy && std::string_view(name) == "KILN_WATCH_POLICY";
    const char* const value = by_option ? arguments.policy->c_str() : std::getenv(name);
    if (value != nullptr) request.add_variables(std::string(name) + "=" + value);
    return value;
  };
  return load_config(root, variables);
}

// What has no bytecode yet needs to be told whose it shall have.
Result<void> add_pythons(const WatchArguments& arguments, proto::WatchRequest& request) {
  std::vector<std::optional<std::string>> wanted(arguments.pythons.begin(), arguments.pythons.end());
  if (wanted.empty()) wanted.emplace_back();
  for (const auto& python : wanted) {
    request.add_python(TRY(choose_interpreter(python)).path);
    if (const auto named = named_interpreter(python))
      TRY_VOID(check_is_interpreter(*request.python().rbegin(), *named));
  }
  return {};
}

// What comes to lie in the kernel's own file systems is no source, and what cannot be looked into has none
// for us.
std::string by_hand(const std::string& path) {
  if (::access(path.c_str(), R_OK | X_OK) != 0) return permission_hint(path, "rx");
  const UniqueFd place{::open(path.c_str(), O_PATH | O_CLOEXEC)};
  return file_system_kind(place.get()).pseudo ? "kiln watch ." : "kiln precompile " + shell_word(path);
}

// False: changes there are not heard.
bool print_watched(const proto::Status::Root& root) {
  const std::string path = printable(root.path());
  if (root.state() == "by-stat") {
    const bool is_kept = !root.hint().empty();  // a limit is in the way, which may be mended
    const std::string kept = is_kept ? ", and it is looked at instead" : "";
    print_error({Reason::system,
                 "changes in " + path + " are not heard" + kept + ": " + printable(root.reason()),
                 printable(root.hint().empty() ? by_hand(root.path()) : root.hint())});
    return false;
  }
  std::printf("watching %s%s\n", path.c_str(), root.policy() == "all" ? ", all of it" : "");
  std::fflush(stdout);
  for (const auto& directory : root.unwatched()) {
    print_warning({Reason::system, "not watched: " + directory, {}});
  }
  return true;
}

void warn_of_policy(const std::string& root, const std::vector<std::string>& pythons) {
  std::string command = "kiln watch --policy all";
  for (const auto& python : pythons) command += " --python " + shell_argument(python);
  print_warning(
      {Reason::usage,
       "--python counts with the policy all; else bytecode is kept for the interpreters that it was "
       "made for",
       command + " " + shell_word(root)});
}

// Each root by itself, for each may be in another project. The exit code.
Result<int> watch(const WatchArguments& arguments) {
  bool all_heard = true;
  for (const auto& root : TRY(absolute_paths(arguments.paths))) {
    if (const auto checked = check_directory(root); !checked) {
      print_error(checked.error());
      all_heard = false;
      continue;
    }
    proto::WatchRequest request;
    request.add_paths(root);
    request.set_umask(own_umask());
    const Config config = TRY(add_configuration(root, arguments, request));
    const auto added = add_pythons(arguments, request);
    // Else they are for the day on which the configuration says `all`.
    const bool needs_pythons = config.watch_policy == WatchPolicy::all || !arguments.pythons.empty();
    if (!added && needs_pythons) return added.error();
    const auto reply = TRY(ask_to_watch(root, std::move(request)));
    for (const auto& watched : reply.roots()) all_heard = print_watched(watched) && all_heard;
    if (config.watch_policy != WatchPolicy::all && !arguments.pythons.empty())
      warn_of_policy(root, arguments.pythons);
  }
  if (const auto other = not_keeping_here()) print_warning(*other);  // with the index goes what is watched
  return all_heard ? kExitDone : kExitFix;
}

Result<int> follow_paths(const std::vector<std::string>& paths) {
  const auto followed = TRY(absolute_paths(paths));
  TRY_VOID(check_known(followed, "kiln status"));
  TRY_VOID(follow(followed));
  return kExitDone;
}

Result<int> unwatch(const std::vector<std::string>& paths) {
  proto::WatchRequest request;
  request.set_remove(true);
  for (const auto& path : TRY(absolute_paths(paths))) request.add_paths(path);
  const auto reply = TRY(ask_to_unwatch(request));
  const std::vector<std::string> known(reply.paths().begin(), reply.paths().end());
  for (const auto& path : known) std::printf("no longer watching %s\n", printable(path).c_str());
  int code = kExitDone;
  for (const auto& path : request.paths()) {
    if (std::ranges::find(known, path) != known.end()) continue;
    print_error({Reason::usage, printable(path) + " is not watched", "kiln status"});
    code = kExitFix;
  }
  return code;
}

}  // namespace

namespace {

void define_options(CLI::App& app, WatchArguments& parsed) {
  app.add_option("PATH", parsed.paths, "directories; with --follow also files")->type_name("");
  take_words(app.add_option("--policy", parsed.policy,
                            "imported: what was imported or compiled before; all: every Python file (else "
                            "watch.policy of the "
                            "configuration)")
                 ->type_name("POLICY"),
             {"imported", "all"});
  app.add_option(
         "--python", parsed.pythons,
         "with the policy all, an interpreter whose bytecode is wanted, as of kiln precompile; for several "
         "of them more than once")
      ->type_name("PY")
      ->allow_extra_args(false);
  app.add_flag(
      "--follow", parsed.follow,
      "print what is compiled by itself, below PATH or anywhere, as it happens; watches nothing more");
}

// What CLI11 cannot say. Empty: nothing.
std::string objection_to(const WatchArguments& parsed) {
  if (parsed.follow && (parsed.policy || !parsed.pythons.empty())) {
    return "--follow only shows: --policy and --python are for directories that are to be watched";
  }
  if (!parsed.follow && parsed.paths.empty()) return "PATH is required";
  return {};
}

}  // namespace

int watch_command(std::span<char*> arguments) {
  CLI::App app("Keeps the bytecode of directories, with all below them, up to date from now on",
               "kiln watch");
  WatchArguments parsed;
  define_options(app, parsed);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  if (const auto objection = objection_to(parsed); !objection.empty()) {
    print_error({Reason::usage, objection, "kiln watch --help"});
    return kExitUsage;
  }
  const auto done = parsed.follow ? follow_paths(parsed.paths) : watch(parsed);
  if (done) return *done;
  print_error(done.error());
  return exit_code(done.error());
}

int unwatch_command(std::span<char*> arguments) {
  CLI::App app("Watches directories no longer", "kiln unwatch");
  std::vector<std::string> paths;
  app.add_option("PATH", paths, "directories as `kiln status` shows them")->required()->type_name("");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto done = unwatch(paths);
  if (done) return *done;
  print_error(done.error());
  return exit_code(done.error());
}

}  // namespace kiln
