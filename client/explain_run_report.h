// What `kiln explain run` prints of the daemon's answer.
//
// The document of --json:
//
//   version    1; other keys may come, but these stay as long as it does
//   how        exec (the interpreter itself is executed) | bare (from a started interpreter) | program (from
//   a stop of
//              the program itself)
//   reason     of exec, a word as in KILN_LOG=1; else null
//   detail     a sentence about it, or null
//   run_ahead  whether the configuration lets programs be run ahead
//   stops      of this program, the furthest first: [{place, step, serves, unsuited, saved_us, modules,
//   finalized,
//              arguments (whether it has read them), directory (whether it depends on the working directory),
//              variables, whole_environment, inputs (paths)}]
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "proto/kiln.pb.h"

namespace kiln {

// Sentences. PYTHON: the interpreter's path.
std::string run_explanation_text(const proto::ExplainRunReply& reply, const std::string& python);

boost::json::object run_explanation_json(const proto::ExplainRunReply& reply);

}  // namespace kiln
