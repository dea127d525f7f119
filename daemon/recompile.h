// Brings bytecode up to date without being asked: what an interpreter has in the index when its binary is
// another by now, and what a source has when it has changed. Nothing is made that has no entry.
//
// When the binary behind an interpreter's path changes (a link was moved to another version, it was
// upgraded), all of its entries are examined: by Python's own rules, so that what is good stays. The bytecode
// of another version, which has a name of its own, stays as well; where it has none (NAME.pyc beside the
// source), it is not touched.
//
// It yields: one thread, one worker, low priority for both, and between a few files it waits until no
// `kiln precompile` runs. It writes with the umask of the user who had the bytecode made, and not where
// daemon/background.h forbids it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "daemon/compiler_pool.h"
#include "daemon/index_thread.h"
#include "daemon/known_interpreters.h"
#include "daemon/overlay.h"
#include "daemon/precompile_service.h"
#include "daemon/write_behind_store.h"

namespace kiln {

// All functions may be called from any thread.
class Recompiler {
 public:
  // All of it outlives this. What REQUESTED serves goes first.
  Recompiler(IndexThread& index, WriteBehindStore& store, Overlay& overlay, PrecompileService& requested);
  ~Recompiler();

  // These return at once; what was asked for already and has not begun is not done twice.
  void look_at_interpreters();            // whether binaries have changed
  void look_at_source(std::string path);  // absolute; it may have changed

  // Blocks until nothing is left to do, or it is stopped.
  void drain();

  // Has all work end early. Does not wait for it.
  void stop();
  // Waits for it.
  void join();

 private:
  struct Pending {
    bool interpreters = false;
    bool everything = false;  // more sources than we remember one by one
    std::set<std::string> sources;

    bool empty() const { return !interpreters && !everything && sources.empty(); }
  };

  void run();
  bool wait_for_work(std::unique_lock<std::mutex>& lock);
  void work(const Pending& pending);
  void examine_changed_interpreters();
  void examine_interpreter(const std::string& executable);
  void examine_sources(const Pending& pending);
  Result<InterpreterInfo> identify(const std::string& executable);
  bool recompile(const InterpreterInfo& interpreter, const std::vector<IndexEntry>& entries,
                 const KnownErrors& known_errors);
  bool recompile(const InterpreterInfo& interpreter, const proto::PrecompileRequest& request,
                 const KnownErrors& known_errors);

  IndexThread& index_;
  WriteBehindStore& store_;
  Overlay& overlay_;
  PrecompileService& requested_;
  CompilerPool compilers_;
  KnownInterpreters interpreters_;                  // on the thread
  std::map<std::string, BinaryIdentity> unusable_;  // on the thread: did not say who they are

  std::mutex mutex_;  // for the next two
  Pending pending_;
  bool working_ = false;
  std::condition_variable_any changed_;
  std::stop_source stop_;
  std::jthread thread_;  // last: it uses all the others
};

}  // namespace kiln
