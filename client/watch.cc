// `kiln watch` and `kiln unwatch`: directories whose bytecode is kept up to date.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "client/command.h"
#include "client/connection.h"
#include "client/current_path.h"
#include "common/arguments.h"
#include "common/config.h"
#include "common/path_pattern.h"
#include "common/print_error.h"

namespace kiln {
namespace {

Result<void> check_directory(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return errno_error("cannot watch " + path, Reason::target_missing);
  if (!S_ISDIR(status.st_mode)) {
    return Error{Reason::usage, path + " is no directory", "kiln watch the directory that holds it"};
  }
  return {};
}

Result<proto::WatchReply> ask(proto::WatchRequest wanted) {
  Connection connection = TRY(Connection::open_or_start());
  proto::Request request;
  *request.mutable_watch() = std::move(wanted);
  TRY_VOID(connection.send(std::move(request)));
  return TRY(connection.receive()).watch();
}

// Each root by itself, for each may be in another project. The exit code.
Result<int> watch(const std::vector<std::string>& paths) {
  const auto roots = TRY(absolute_paths(paths));
  for (const auto& root : roots) {
    const auto checked = check_directory(root);
    if (checked) continue;
    print_error(checked.error());
    return kExitFix;
  }
  for (const auto& root : roots) {
    const Config config = TRY(load_config(root));
    proto::WatchRequest request;
    request.add_paths(root);
    for (auto& pattern : patterns_below(root, config.watch_ignore)) request.add_ignore(std::move(pattern));
    TRY(ask(std::move(request)));
    std::printf("watching %s\n", root.c_str());
  }
  return kExitDone;
}

Result<int> unwatch(const std::vector<std::string>& paths) {
  proto::WatchRequest request;
  request.set_remove(true);
  for (const auto& path : TRY(absolute_paths(paths))) request.add_paths(path);
  const auto reply = TRY(ask(request));
  const std::vector<std::string> known(reply.paths().begin(), reply.paths().end());
  for (const auto& path : known) std::printf("no longer watching %s\n", path.c_str());
  int code = kExitDone;
  for (const auto& path : request.paths()) {
    if (std::ranges::find(known, path) != known.end()) continue;
    print_error({Reason::usage, path + " is not watched", "kiln status"});
    code = kExitFix;
  }
  return code;
}

}  // namespace

int watch_command(std::span<char*> arguments) {
  CLI::App app("Keeps the bytecode of directories, with all below them, up to date from now on",
               "kiln watch");
  std::vector<std::string> paths;
  app.add_option("PATH", paths, "directories")->required()->type_name("");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto done = watch(paths);
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
