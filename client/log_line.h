// A line of the daemon's log as a JSON object, for `kiln daemon logs --json`.
//
//   version  1
//   time     2026-11-28T17:20:01.123, local time, as it is in the log; null with pid and level where a
//   message
//            goes on in a further line
//   pid      of the daemon
//   level    trace | debug | info | warning | error | critical
//   message  the rest of the line
#pragma once

#include <string>
#include <string_view>

namespace kiln {

// LINE without its end, as daemon/daemon.cc has it written.
std::string log_line_json(std::string_view line);

}  // namespace kiln
