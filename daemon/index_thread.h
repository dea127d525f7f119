// The index, on the one thread that may touch it (SQLite: one connection, one thread). Questions and records
// queue up in the order in which they were asked.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>
#include <vector>

#include "common/image_channel.h"
#include "common/result.h"
#include "daemon/index.h"
#include "daemon/index_refresh.h"
#include "daemon/run_times.h"

namespace kiln {

struct IndexSummary {
  IndexCounts counts;
  std::vector<InterpreterInfo> interpreters;
};

// As the index has it: no file is looked at.
struct KnownFile {
  std::string source;
  std::vector<IndexEntry> entries;            // of it; where a bytecode file was asked for, that one's alone
  std::vector<InterpreterInfo> interpreters;  // all
  std::vector<EntryPoint> importers;          // newest first
  std::vector<EntryPoint> runs;               // of itself, as a program; newest first

  bool is_known() const { return !entries.empty() || !importers.empty() || !runs.empty(); }
};

class IndexThread {
 public:
  // PATH: of the database, OVERLAY: as of Index. It is opened at the first use; one that cannot be opened is
  // an error of every call. WATCHER: as of IndexRefresh.
  explicit IndexThread(std::string path, std::string overlay = {}, Watcher* watcher = nullptr)
      : path_(std::move(path)), overlay_(std::move(overlay)), refresh_(watcher) {}
  ~IndexThread() { close(); }

  // Told, on the thread, of sources about whose bytecode a refresh cannot tell. To be set before anything is
  // asked.
  std::function<void(std::vector<std::string>)> on_doubt;

  // Told of directories, as of IndexRefresh. To be set before anything is asked.
  void on_unwatched(std::function<void(std::vector<std::string>)> told) {
    refresh_.on_unwatched = std::move(told);
  }

  // As of Index; what keeps it from being opened is the Error.
  boost::asio::awaitable<Result<std::string>> find_damage();
  // The same ahead of the question, and for the log.
  void look_for_damage();
  // Looks at all files again that are not proved to be as they were, then counts.
  boost::asio::awaitable<Result<IndexSummary>> summarize();
  // Looks at them, too.
  boost::asio::awaitable<Result<void>> refresh();
  // Of what was changed before the call nothing is left that would mislead Python (as of Index).
  boost::asio::awaitable<Result<void>> settle();
  // What is being written in this process is written (write_gate.h).
  boost::asio::awaitable<Result<void>> wait_for_writes();
  // There is something to settle: it is looked for ahead of whoever will ask, so that it has not to wait
  // long.
  void prepare_to_settle();
  // As of Index, after refresh(). Looks only at what was recorded since.
  boost::asio::awaitable<Result<std::vector<IndexEntry>>> list_part(IndexFilter filter, std::string after,
                                                                    std::size_t count);
  boost::asio::awaitable<Result<CleanedOrphans>> clean_orphans(std::vector<IndexFilter> filters, CleanMode mode);
  // What was imported and is still there, latest first; at most COUNT.
  boost::asio::awaitable<Result<std::vector<std::string>>> imported_modules(std::size_t count);
  // As of Index, with the runs that are gathered in memory.
  boost::asio::awaitable<Result<std::vector<EntryPoint>>> most_used(std::size_t count);
  // What the index has about the file PATH, absolute, a source or its bytecode.
  boost::asio::awaitable<Result<KnownFile>> known_file(std::string path);
  // As of Index; what is added or removed is kept when they return.
  boost::asio::awaitable<Result<std::vector<WatchedRoot>>> roots();
  boost::asio::awaitable<Result<void>> add_root(WatchedRoot root);
  boost::asio::awaitable<Result<void>> remove_root(std::string path);
  // Written behind: returns at once. What fails is logged; the index is derivable.
  void renew_root(WatchedRoot root);
  void record(InterpreterInfo interpreter, int optimize, std::vector<FileResult> files);

  // What a run that ended at ENDED_NS, since the epoch, has imported: for the dependency record, and as
  // entries, of the modules whose bytecode is in its place.
  void record_run(InterpreterInfo interpreter, RunRecord run, std::int64_t ended_ns);
  // What an interpreter has imported as it started, by paths of bytecode: as entries, of those whose bytecode
  // is in its place.
  void record_start(InterpreterInfo interpreter, std::vector<std::string> bytecode);
  // That a program ran again, with imports that are recorded. Gathered in memory: see run_times.h. For the
  // thread that calls known_file() and close() alone.
  void record_time(const std::string& executable, const EndedRun& run);
  void write_times();
  // As of Index.
  void add_counts(CountsByReason counts, std::int64_t now_s);
  void add_work(WorkCounts work);
  boost::asio::awaitable<Result<KeptCounts>> take_counts(bool reset);
  void forget(std::vector<std::string> pycs);
  void set_examined(std::string executable, BinaryIdentity binary);

  // These block: they are not for the thread that runs everything else. What fails is logged, too.
  // What is known not to compile.
  KnownErrors known_errors();
  MadeFiles made_files(const std::string& path);
  std::vector<std::string> changed_interpreters();
  // As the index has them: no file is looked at.
  std::vector<IndexEntry> entries(const IndexFilter& filter);
  // Looks at the files of those that pass FILTER again, then returns what is stale or an error by now; also
  // of the other names of a source that has several, of which nobody hears.
  std::vector<IndexEntry> unsettled(IndexFilter filter);

  // Cuts a long refresh short, for good.
  void interrupt() { stop_.request_stop(); }

  // Finishes what is queued, but cuts a long refresh short, and closes the database.
  void close();

 private:
  template <class Function>
  auto wait_for(Function question) -> typename std::invoke_result_t<Function, Index&>::value_type;
  template <class Function>
  void write_behind(Function change);
  Result<Index*> index();  // on the thread
  Result<Index*> refreshed_index();
  Result<void> find_misleading(Index& index);
  void tell_doubts(Index& index);
  Result<std::vector<IndexEntry>> unsettled_here(IndexFilter filter);
  Result<IndexSummary> summarize_here();
  Result<std::vector<std::string>> imported_modules_here(std::size_t count);
  Result<KnownFile> known_file_here(const std::string& path);
  Result<CleanedOrphans> clean_orphans_here(const std::vector<IndexFilter>& filters, CleanMode mode);

  std::string path_;
  std::string overlay_;
  std::optional<Index> index_;
  std::string damage_;  // that was told
  IndexRefresh refresh_;
  std::atomic<bool> is_preparing_ = false;
  RunTimes run_times_;
  std::stop_source stop_;
  boost::asio::thread_pool thread_{1};
};

}  // namespace kiln
