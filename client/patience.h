// Waiting for a daemon that has a lot to do, and showing that it has.
#pragma once

#include <string>
#include <vector>

#include "client/connection.h"

namespace kiln {

// The daemon's reply, as Connection::receive() has it. Until it comes, standard error shows that LABEL,
// "collecting", goes on (client/progress.h).
Result<proto::Reply> receive_patiently(Connection& connection, const std::string& label,
                                       std::vector<UniqueFd>* fds = nullptr);

}  // namespace kiln
