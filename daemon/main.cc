// kilnd: the per-user server. Usually started by the client.
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <exception>

#include "common/version.h"
#include "daemon/daemon.h"

int main(int argc, char** argv) {
  CLI::App app("Kiln's per-user server; clients start it when they need it (see `kiln daemon`)", "kilnd");
  kiln::DaemonOptions options;
  app.add_option("--ready-fd", options.ready_fd,
                 "descriptor to write a byte to when connections are accepted");
  app.add_flag("--foreground", options.foreground, "log to standard error, too");
  app.set_version_flag("--version", "kilnd " + std::string(kiln::version()));
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGPIPE, SIG_IGN);  // a peer that hangs up is an error code, not our end
  try {
    if (const auto done = kiln::run_daemon(options); !done) {
      // Who waits for us to be ready reads why we are not.
      if (options.ready_fd >= 0)
        (void)!::write(options.ready_fd, done.error().message.data(), done.error().message.size());
      std::fprintf(stderr, "error: %s\n", done.error().message.c_str());
      if (!done.error().hint.empty()) std::fprintf(stderr, "\nhint: %s\n", done.error().hint.c_str());
      return 3;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: a bug in kilnd: %s\n", error.what());
    return 3;
  }
  return 0;
}
