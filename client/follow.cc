#include "client/follow.h"

#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "client/connection.h"
#include "client/error_words.h"
#include "client/output.h"
#include "client/source_position.h"
#include "common/print_error.h"
#include "common/printable.h"
#include "common/shell_word.h"

namespace kiln {
namespace {

// As the user would spell it from where they are.
std::string spelling(const std::string& path, const std::string& directory) {
  const std::string above = directory == "/" ? directory : directory + "/";
  return printable(path.starts_with(above) ? path.substr(above.size()) : path);
}

void print(const proto::FollowEvent& event, const std::string& directory) {
  const std::string source = spelling(event.source(), directory);
  const std::string level = event.optimize() > 0 ? " -O" + std::string(event.optimize() > 1 ? "O" : "") : "";
  const std::string whose = event.tag() + level;
  if (!event.error_type().empty()) {
    std::printf("error %s%s %s: %s\n", source.c_str(), source_position(event.line(), event.column()).c_str(),
                whose.c_str(), error_words(event.error_type(), event.error_message()).c_str());
    return;
  }
  const char* what = event.recovered() ? "recovered" : event.restored() ? "restored" : "compiled";
  std::printf("%s %s %s in %.1f ms\n", what, source.c_str(), whose.c_str(),
              static_cast<double>(event.elapsed_us()) / 1000);
}

// False: nobody reads what is printed any more.
bool wait_for_reply(int daemon) {
  pollfd fds[2] = {{daemon, POLLIN, 0}, {STDOUT_FILENO, 0, 0}};
  while (::poll(fds, 2, -1) < 0) {
  }
  return (fds[0].revents != 0) || (fds[1].revents & POLLERR) == 0;
}

void greet(const proto::Following& following) {
  for (const auto& path : following.unwatched()) {
    print_warning({Reason::system, path + " is not watched", "kiln watch " + shell_word(path)});
  }
  std::fprintf(stderr, "following what is compiled by itself; Ctrl-C ends\n");
}

}  // namespace

Result<void> follow(const std::vector<std::string>& paths) {
  std::signal(SIGPIPE, SIG_DFL);  // as tail(1) ends
  auto connection = TRY(Connection::open_or_start());
  proto::Request request;
  request.mutable_follow();
  for (const auto& path : paths) request.mutable_follow()->add_paths(path);
  TRY_VOID(connection.send(std::move(request)));
  greet(TRY(connection.receive()).following());
  std::error_code ignored;
  const std::string directory = std::filesystem::current_path(ignored).string();
  while (wait_for_reply(connection.fd())) {
    const auto reply = connection.receive();
    if (!reply) return Error{Reason::no_daemon, "the daemon has ended", "kiln watch --follow"};
    print(reply->recompiled(), directory);
    TRY_VOID(finish_output("kiln watch --follow"));
  }
  return {};
}

}  // namespace kiln
