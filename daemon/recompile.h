// Brings bytecode up to date without being asked: what an interpreter has in the index when its binary is
// another by now, and what a source has when it has changed. Nothing is made that has no entry, but for what
// lies in a directory that is watched with the policy `all`.
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
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "common/pyc.h"
#include "daemon/bytecode_place.h"
#include "daemon/compiler_pool.h"
#include "daemon/index_thread.h"
#include "daemon/known_interpreters.h"
#include "daemon/overlay.h"
#include "daemon/precompile_service.h"
#include "daemon/watch/changes.h"
#include "daemon/watch/watcher.h"
#include "daemon/watched_root.h"
#include "daemon/write_behind_store.h"

namespace kiln {

// What one request can name.
struct RecompileGroup {
  int optimize = 0;
  BytecodePlace place;
  std::uint32_t umask = 0;
  PycKind kind = PycKind::timestamp;

  auto operator<=>(const RecompileGroup&) const = default;
};

struct RecompiledFile {
  const FileResult& file;
  const InterpreterInfo& interpreter;
  int optimize = 0;
  bool recovered = false;  // it is compiled again, after an error
};
using RecompileListener = std::function<void(const RecompiledFile&)>;

// All functions may be called from any thread.
class Recompiler {
 public:
  // Of a path that is to be looked at: it alone, what is in it, or all below it, too.
  enum class Extent : std::uint8_t { file, directory, tree };

  // All of it outlives this. What REQUESTED serves goes first. WATCHER: tells where somebody removes things;
  // may be null.
  Recompiler(IndexThread& index, WriteBehindStore& store, Overlay& overlay, PrecompileService& requested,
             Watcher* watcher = nullptr);
  ~Recompiler();

  // These return at once; what was asked for already and has not begun is not done twice.
  void look_at_interpreters();  // whether binaries have changed
  void look_at(Changes changes);

  // All that are watched, of which some may have the policy `all`. Where it was and is not any more, nothing
  // is begun to be written from then on (write_gate.h) for what was asked for before.
  void set_roots(WatchedRoots roots);
  // Hears of each file that is made, or fails, from now on; called on the thread. Null: nobody does.
  void set_listener(RecompileListener listener);

  // Blocks until nothing is left to do, or it is stopped.
  void drain();

  // Has all work end early. Does not wait for it.
  void stop();
  // Waits for it.
  void join();

 private:
  struct Pending {
    bool interpreters = false;
    std::map<std::string, Extent> sources;  // by path

    bool empty() const { return !interpreters && sources.empty(); }
  };

  void run();
  bool wait_for_work(std::unique_lock<std::mutex>& lock);
  void work(const Pending& pending);
  void examine_changed_interpreters();
  void examine_interpreter(const std::string& executable);
  void examine_sources(const Pending& pending);
  bool examine_entries(const std::string& path, Extent extent, KnownErrors& known_errors);
  bool examine_kept(const std::string& path, Extent extent, KnownErrors& known_errors);
  Result<InterpreterInfo> identify(const std::string& executable);
  bool recompile(const InterpreterInfo& interpreter, const std::vector<IndexEntry>& entries,
                 KnownErrors& known_errors);
  bool recompile(const InterpreterInfo& interpreter, const RecompileGroup& group,
                 const std::vector<proto::PrecompileRequest::Target>& targets, KnownErrors& known_errors,
                 const MadeFiles& made_files);
  bool recompile(const InterpreterInfo& interpreter, const proto::PrecompileRequest& request,
                 KnownErrors& known_errors, const MadeFiles& made_files);
  void tell(const PrecompiledBatch& batch, const KnownErrors& known_errors);
  bool may_write(const std::string& pyc);
  bool is_unwatched(const std::string& path);

  IndexThread& index_;
  WriteBehindStore& store_;
  Overlay& overlay_;
  PrecompileService& requested_;
  Watcher* const watcher_;
  CompilerPool compilers_;
  KnownInterpreters interpreters_;                  // on the thread
  std::map<std::string, BinaryIdentity> unusable_;  // on the thread: did not say who they are

  std::mutex mutex_;  // for what follows, up to the condition
  Pending pending_;
  WatchedRoots roots_;
  std::vector<WatchedRoot> unwatched_;  // since the present work began
  RecompileListener listener_;
  bool working_ = false;
  std::condition_variable_any changed_;
  std::stop_source stop_;
  std::jthread thread_;  // last: it uses all the others
};

}  // namespace kiln
