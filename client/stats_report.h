// What `kiln stats` prints of the daemon's counts.
//
// The document of --json is deploy/schema/stats.json. Time saved is counted where it is known:
//
//   warm       runs that went on from where their program was run ahead to: the processor's time that this
//   had
//              taken, which each of them was spared
//   restored   files that were taken from the store: what compiling as many bytes of source took here, on
//              average since the counts began, less what restoring them took; unknown before one was compiled
//
// What a run is spared that starts in a bare image, the interpreter's own start, nobody has measured: it is
// left out.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "proto/kiln.pb.h"

namespace kiln {

// In microseconds; nothing: it is not known. Less than nothing where restoring takes longer than compiling.
std::optional<std::int64_t> saved_by_restoring(const proto::StatsReply& stats);

std::string stats_text(const proto::StatsReply& stats);
boost::json::object stats_json(const proto::StatsReply& stats);

}  // namespace kiln
