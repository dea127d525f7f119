// `kiln clean --orphans`: removes bytecode whose source is gone.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "client/command.h"
#include "client/connection.h"
#include "client/current_path.h"
#include "client/printable.h"
#include "common/arguments.h"
#include "common/print_error.h"
#include "common/screen.h"

namespace kiln {
namespace {

Result<proto::CleanReply> clean(const std::vector<std::string>& paths) {
  proto::Request request;
  request.mutable_clean();
  for (const auto& path : TRY(absolute_paths(paths))) request.mutable_clean()->add_paths(path);
  Connection connection = TRY(Connection::open_or_start());
  TRY_VOID(connection.send(std::move(request)));
  return TRY(connection.receive()).clean();
}

void print(const proto::CleanReply& done) {
  const unsigned columns = terminal_columns(STDOUT_FILENO);
  for (const auto& path : done.removed()) {
    const std::string line = "removed " + printable(path);
    std::puts((columns == 0 ? line : shortened(line, columns)).c_str());
  }
}

}  // namespace

int clean_command(std::span<char*> arguments) {
  CLI::App app("Removes bytecode that is of no use any more", "kiln clean");
  std::vector<std::string> paths;
  bool orphans = false;
  app.add_option("PATH", paths, "sources, or directories with all below them (default: everything)")
      ->type_name("");
  app.add_flag("--orphans", orphans,
               "bytecode that Kiln knows of and whose source is gone; not NAME.pyc beside where NAME.py was, "
               "which Python imports without it")
      ->required();
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto done = clean(paths);
  if (!done) {
    print_error(done.error());
    return kExitUnable;
  }
  print(*done);
  for (const auto& path : done->kept()) print_error({Reason::system, "cannot remove " + path, {}});
  return done->kept().empty() ? kExitDone : kExitFix;
}

}  // namespace kiln
