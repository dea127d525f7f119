// `kiln clean --orphans`: removes bytecode whose source is gone. `kiln clean --all`: the daemon, and Kiln's
// cache.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <span>

#include "client/cache_removal.h"
#include "client/command.h"
#include "client/connection.h"
#include "client/current_path.h"
#include "client/daemon_cache.h"
#include "client/daemon_start.h"
#include "client/known_path.h"
#include "common/arguments.h"
#include "common/path_text.h"
#include "common/paths.h"
#include "common/print_error.h"
#include "common/printable.h"
#include "common/quantity.h"
#include "common/screen.h"
#include "common/shell_word.h"
#include "common/start_lock.h"

namespace kiln {
namespace {

Result<proto::CleanReply> clean(const std::vector<std::string>& paths, RemovalMode mode) {
  proto::Request request;
  request.mutable_clean()->set_dry_run(mode == RemovalMode::dry_run);
  const auto cleaned = TRY(outermost_paths(paths));
  TRY_VOID(check_known(cleaned, "kiln list --state orphan"));
  for (const auto& path : cleaned) request.mutable_clean()->add_paths(path);
  Connection connection = TRY(Connection::open_or_start());
  TRY_VOID(connection.send(std::move(request)));
  return TRY(connection.receive()).clean();
}

const char* verb(RemovalMode mode) {
  return mode == RemovalMode::dry_run ? "would remove " : "removed ";
}

void print(const proto::CleanReply& done, RemovalMode mode) {
  const unsigned columns = terminal_columns(STDOUT_FILENO);
  for (const auto& path : done.removed()) {
    const std::string line = verb(mode) + printable(path);
    std::puts((columns == 0 ? line : shortened(line, columns)).c_str());
  }
}

std::string files_text(std::uint64_t count) {
  return count_text(count) + (count == 1 ? " file" : " files");
}

int clean_orphans(const std::vector<std::string>& paths, RemovalMode mode) {
  const auto done = clean(paths, mode);
  if (!done) {
    print_error(done.error());
    return exit_code(done.error());
  }
  print(*done, mode);
  if (done->removed().empty() && done->kept().empty() && done->foreign().empty())
    std::fputs("there was nothing to remove\n", stderr);
  for (const auto& path : done->kept())
    print_error({Reason::system, "cannot remove " + printable(path),
                 "ls -ld " + shell_word(std::string(directory_of(path)))});
  for (const auto& path : done->foreign())
    print_error({Reason::bad_pyc, printable(path) + " is no bytecode, whatever its name, and stays",
                 "rm " + shell_word(path)});
  return done->kept().empty() && done->foreign().empty() ? kExitDone : kExitFix;
}

// No daemon may begin another cache while this one is removed. One that has another already goes on.
Result<CacheRemoval> remove_all(const std::string& dir, RemovalMode mode) {
  const bool is_daemons = static_cast<bool>(check_daemon_cache(dir));
  if (mode == RemovalMode::dry_run || !is_daemons) return remove_cache(dir, mode);
  TRY_VOID(await_starts());
  const UniqueFd starts = hold_starts(dir);  // of other runtime directories, too
  const UniqueFd away = TRY(stop_daemon_for_good());
  return remove_cache(dir, mode);
}

void print_removed(const CacheRemoval& done, const std::string& dir, RemovalMode mode) {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  for (const RemovedPart& part : done.parts) {
    std::printf("%-8s %s, %s\n", (part.name + ":").c_str(), files_text(part.files).c_str(),
                bytes_text(part.bytes).c_str());
    files += part.files;
    bytes += part.bytes;
  }
  for (const auto& path : done.foreign)
    std::printf("kept %s, which is not Kiln's\n", printable(path).c_str());
  std::printf("%s%s of %s, %s\n", verb(mode), files_text(files).c_str(), printable(dir).c_str(),
              bytes_text(bytes).c_str());
}

// One directory that may not be written has all that is in it fail.
void print_failures(std::span<const Error> failures) {
  constexpr std::size_t kMostShown = 5;
  for (const Error& failure : failures.first(std::min(failures.size(), kMostShown))) print_error(failure);
  if (failures.size() > kMostShown)
    print_error({Reason::system, count_text(failures.size() - kMostShown) + " more cannot be removed",
                 failures.back().hint});
}

int clean_all(RemovalMode mode) {
  const auto dir = cache_dir();
  const auto done = dir ? remove_all(*dir, mode) : Result<CacheRemoval>(dir.error());
  if (!done) {
    print_error(done.error());
    return exit_code(done.error());
  }
  print_removed(*done, *dir, mode);
  print_failures(done->failures);
  return done->failures.empty() ? kExitDone : kExitFix;
}

int wrong_usage(const std::string& what) {
  print_error({Reason::usage, what, "kiln clean --help"});
  return kExitUsage;
}

}  // namespace

int clean_command(std::span<char*> arguments) {
  CLI::App app("Removes bytecode that is of no use any more, or all that Kiln keeps", "kiln clean");
  std::vector<std::string> paths;
  bool orphans = false;
  bool all = false;
  bool dry_run = false;
  auto* path =
      app.add_option("PATH", paths, "sources, or directories with all below them (default: everything)")
          ->type_name("");
  app.add_flag("--orphans", orphans,
               "bytecode that Kiln knows of and whose source is gone; not NAME.pyc beside where NAME.py was, "
               "which Python imports without it");
  app.add_flag("--all", all,
               "ends the daemon, and removes Kiln's cache: index, with what is watched, store, "
               "overlay and logs; bytecode beside sources stays, and so does what is not Kiln's")
      ->excludes(path);
  app.add_flag("--dry-run", dry_run, "only tells what would be removed");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  if (orphans == all)
    return wrong_usage(all ? "--all excludes --orphans" : "what is of no use: --orphans, or --all?");
  const RemovalMode mode = dry_run ? RemovalMode::dry_run : RemovalMode::real;
  return all ? clean_all(mode) : clean_orphans(paths, mode);
}

}  // namespace kiln
