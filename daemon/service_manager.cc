#include "daemon/service_manager.h"

#include <sys/socket.h>
#include <systemd/sd-daemon.h>

namespace kiln {
namespace {

constexpr int kUnsetVariables = 1;
constexpr int kKeepVariables = 0;
constexpr int kListens = 1;

}  // namespace

Result<UniqueFd> passed_socket(const std::string& path) {
  const int count = ::sd_listen_fds(kUnsetVariables);
  if (count <= 0) return UniqueFd();  // below zero: the variables make no sense, so are not for us
  UniqueFd socket{SD_LISTEN_FDS_START};
  if (count == 1 && ::sd_is_socket_unix(socket.get(), SOCK_STREAM, kListens, path.c_str(), 0) > 0)
    return socket;
  return Error{Reason::system, "the service manager does not listen on " + path + ", where clients look",
               "systemctl --user cat kilnd.socket"};
}

void tell_service_manager(const char* state) {
  ::sd_notify(kKeepVariables, state);
}

}  // namespace kiln
