// `kiln precompile`: brings the bytecode of files and directories up to date, as `python -m compileall`
// would, with the same bytes in the same places.
//
// Four steps: walk the targets, judge what is there, compile the rest, largest first so that no worker is
// left alone with a long one at the end, and write. One thread and one worker process for each job; whoever
// is free takes the next file. Source and header correspond: the source is looked at before and after it is
// read.
#pragma once

#include <functional>
#include <stop_token>
#include <vector>

#include "daemon/compile_worker.h"
#include "daemon/file_result.h"
#include "daemon/interpreter.h"
#include "proto/kiln.pb.h"

namespace kiln {

// Gets the events of one precompilation: called from several threads, but by one at a time. It may block;
// then the work waits.
using PrecompileSink = std::function<void(const proto::PrecompileEvent&)>;

struct Precompiled {
  std::vector<FileResult> files;  // every source found, in walking order; for the index
  proto::PrecompileEvent::Summary summary;
};

// No request gets more workers.
constexpr unsigned kMaxJobs = 256;

// Blocks until all is done; call it on a thread of its own. INTERPRETER is what request.python() is. Events
// are one Error for each file or target that failed, Warning, Progress over the files to compile, at most a
// hundred, and as the last one the Summary. STOP ends it early: running compiles are killed, no file is left
// half written, and the summary's failure says so, as it does when the interpreter cannot be used at all.
Precompiled precompile(const proto::PrecompileRequest& request, const InterpreterInfo& interpreter,
                       const CompileLimits& limits, const PrecompileSink& sink, const std::stop_token& stop);

}  // namespace kiln
