// `kiln precompile`: brings the bytecode of files and directories up to date, as `python -m compileall`
// would, with the same bytes in the same places, for several interpreters and optimization levels at once.
//
// Four steps: walk the targets, judge what is there, make the rest, largest first so that nobody is left
// alone with a long one at the end, and say what was done. What has been compiled before, wherever that was,
// comes out of the store (daemon/store.h); the rest is compiled by workers (daemon/compiler_pool.h).
#pragma once

#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "daemon/compiler_pool.h"
#include "daemon/file_result.h"
#include "daemon/interpreter.h"
#include "daemon/known_error.h"
#include "daemon/made_file.h"
#include "daemon/write_behind_store.h"
#include "proto/kiln.pb.h"

namespace kiln {

// Gets the events of one precompilation: called from several threads, but by one at a time. It may block;
// then the work waits.
using PrecompileSink = std::function<void(const proto::PrecompileEvent&)>;

// What precompilations share. All of it outlives them.
struct PrecompileServices {
  CompilerPool& compilers;
  WriteBehindStore& store;
  std::string overlay;  // directory of the overlay (common/overlay.h); empty: none
  const KnownErrors& known_errors;
  const MadeFiles& made_files;
  // Asked right before a bytecode file is written. False: it is skipped. Null: all may be.
  std::function<bool(const std::string& pyc)> may_write = nullptr;
};

// What was done for one interpreter and level.
struct PrecompiledBatch {
  InterpreterInfo interpreter;
  int optimize = 0;
  std::vector<FileResult> files;  // every source found, in walking order; for the index
  std::vector<std::string>
      uncached;  // sources whose bytecode can lie in the overlay only, and is not there yet
};

// Notes in KNOWN_ERRORS what BATCH has shown not to compile, or to compile by now.
void remember_errors(const PrecompiledBatch& batch, KnownErrors& known_errors);

struct Precompiled {
  std::vector<PrecompiledBatch> batches;
  proto::PrecompileEvent::Summary summary;
};

// No request gets more workers.
constexpr unsigned kMaxJobs = 256;

// Blocks until all is done; call it on a thread of its own. INTERPRETERS are what request.python() names, in
// that order. Events are one Error for each file or target that failed, Warning for each file that was made
// and warned (as compileall's, and not for one that is fresh: the index has them), Stale (in a check only),
// Progress over the files to make, at most a hundred, and as the last one the Summary. STOP ends it early:
// running compiles are killed, no file is left half written, and the summary's failure says so, as it does
// when an interpreter cannot be used at all.
Precompiled precompile(const proto::PrecompileRequest& request, std::span<const InterpreterInfo> interpreters,
                       const PrecompileServices& services, const PrecompileSink& sink,
                       const std::stop_token& stop);

}  // namespace kiln
