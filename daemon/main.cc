// kilnd: the per-user server. Usually started by the client.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <limits>
#include <span>
#include <string>

#include "common/arguments.h"
#include "common/exit_code.h"
#include "common/paths.h"
#include "common/print_error.h"
#include "common/version.h"
#include "daemon/daemon.h"
#include "daemon/examination.h"

namespace {

int examine() {
  const auto dir = kiln::cache_dir();
  if (!dir) return kiln::kExitFix;
  const std::string found = kiln::examine_cache(*dir).SerializeAsString();
  const bool is_whole = std::fwrite(found.data(), 1, found.size(), stdout) == found.size();
  return is_whole && std::fflush(stdout) == 0 ? kiln::kExitDone : kiln::kExitUnable;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Kiln's per-user server; clients start it when they need it (see `kiln daemon`)", "kilnd");
  kiln::DaemonOptions options;
  kiln::take_number(app.add_option("--ready-fd", options.ready_fd,
                                   "descriptor to write a byte to when connections are accepted")
                        ->type_name("FD"),
                    0, std::numeric_limits<int>::max());
  app.add_flag("--foreground", options.foreground, "log to standard error, too");
  app.add_flag_callback(
      "--build-id", [] { throw CLI::CallForVersion(std::string(kiln::build_id()), 0); },
      "the build, which is the client's, too");
  bool examines = false;
  app.add_flag(
      "--examine", examines,
      "look at index and store while no daemon runs, for kiln doctor: writes a message of its own form");
  app.set_version_flag("--version", "kilnd " + std::string(kiln::version()), "version of this program");
  if (const auto code = kiln::parse_arguments(app, std::span(argv + 1, argv + argc))) return *code;
  if (examines) return examine();
  std::signal(SIGCHLD, SIG_DFL);  // else the kernel reaps our children, and their pids become others'
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error code, too
  std::signal(SIGPIPE, SIG_IGN);  // a peer that hangs up is an error code, not our end
  try {
    if (const auto done = kiln::run_daemon(options); !done) {
      // Who waits for us to be ready reads why we are not, and in a second line what helps.
      const std::string why = done.error().message + "\n" + done.error().hint;
      if (options.ready_fd >= 0) (void)!::write(options.ready_fd, why.data(), why.size());
      kiln::print_error(done.error());
      return done.error().reason == kiln::Reason::already_running ? kiln::kExitFix : kiln::kExitUnable;
    }
  } catch (const std::exception& error) {
    const std::string why = std::string("a bug in kilnd: ") + error.what();
    if (options.ready_fd >= 0) (void)!::write(options.ready_fd, why.data(), why.size());
    kiln::print_error({kiln::Reason::internal, why, {}});
    return kiln::kExitUnable;
  }
  return kiln::kExitDone;
}
