// What systemd hands to a daemon that it starts (sd_listen_fds(3)), and what it wants to hear (sd_notify(3)).
// Started by a client, as usual, the daemon gets nothing, and what it tells goes nowhere.
#pragma once

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace kiln {

// The socket on which systemd listens for us; none if it does not. Fails unless that is the one at PATH,
// where clients look. The variables that tell of it are gone afterwards: they are for nobody else.
Result<UniqueFd> passed_socket(const std::string& path);

// "READY=1", "STOPPING=1", "STATUS=a line for people".
void tell_service_manager(const char* state);

}  // namespace kiln
