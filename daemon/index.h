// The index: every bytecode file that Kiln knows of, and whether it is good. An SQLite database,
// CACHE/index.db.
//
// The index is derivable, so nothing in it is precious: one that is damaged, of a newer Kiln, or not ours is
// set aside (renamed to index.db.set-aside, with its -wal and -shm) and started anew; a precompilation or
// scan fills it.
//
//   interpreters  one row an executable, the link in a virtual environment included
//     executable TEXT UNIQUE, real_path, device, inode, mtime_ns: of the binary behind it
//     (daemon/interpreter.h) implementation, version, cache_tag, magic: the header's first four bytes, prefix
//     examined: 0 from when it was found to be another than before, until all of its entries were looked at
//     (daemon/recompile.h); a kill in between does not lose it
//   sources       one row a source file
//     path TEXT UNIQUE absolute, device, inode, mtime_ns, size: as last seen
//   entries       one row a bytecode file, there or wanted
//     pyc TEXT UNIQUE absolute. Two interpreters with one cache tag share a file: the row is of the one that
//     wrote last source, interpreter: ids; optimize: 0, 1, 2 source_mtime_ns, source_size: of the source that
//     was compiled; pyc_mtime_ns, pyc_size: of the file, 0 if none state TEXT
//       fresh   the bytecode is that of the source
//       stale   it is not, or it is gone while the source is still there: compiling would help
//       error   the source does not compile, or its bytecode cannot be written; error_type, error_message,
//       error_line,
//               error_column say why
//       orphan  the bytecode is there, its source is gone
//     magic: of the bytecode, for a link may have been moved to another version since
//     umask: of the user for whom it was written, for it may be written again in the background
//     warnings TEXT: what compiling it said; NULL if it was not seen being compiled, or nothing was said
//     source_changed_ns: ctime of the source when the entry became what it is
//     made_inode, made_mtime_ns: of the bytecode as we wrote it last, or found it right by its code; else 0
//     source_content: of the source whose code that is (daemon/made_file.h)
//     made_us: that we took to make it, the last time, 0 if others did or that is not known; restored: 1 if
//     it was then taken from the store An entry with neither source nor bytecode is dropped.
//
//   roots         one row a directory that the user has watched with all below it
//     path TEXT absolute; ignore: patterns, each with a NUL behind it; policy: the word of the configuration;
//     both as they were when they were last looked at; pythons: for policy `all`, executables, each with a
//     NUL behind it; umask: of the user who asked; variables: with which the configuration is read, each with
//     a NUL behind it
//
//   entry_points  one row for what was run (by an interpreter) with one set of imports: `manage.py migrate`
//                 and `manage.py test` import other modules, and each keeps its own time
//     entry TEXT: a script, directory or zip file, absolute and without symlinks; "-m NAME"; "-c", whatever
//     its text; interpreter: id
//     imports_hash: names the set (common/imported_sources.h), UNIQUE with the two above
//     imports: how many there are, last_run_ns: when such a run ended last, runs: how many ended
//   modules       one row a source that was imported
//     path TEXT UNIQUE absolute; gone with the last of its imports
//   imports       one row for each entry_point (id) and module (id) that it imported
//
// The three are the dependency record. Whoever runs the same program again moves one time in one row. It is
// bounded (RecordLimits): sets that nobody has run for the longest time are forgotten. Rejected: a time for
// each import, which each run would have to move for all of them.
//
//   runs          one row a reason (common/reason.h): count, of runs; since_s: of the first
//   work          one row for what else is counted: name TEXT (daemon/work_counts.h), count
//
// Paths are bytes, whatever their encoding. PRAGMA application_id is "kiln", user_version the version of the
// schema; index.cc has the migrations.
//
// Rationale: WAL with synchronous=NORMAL survives kill -9 at any instant; a power loss may cost the last
// transactions, which a scan finds again. One connection only: SQLite up to 3.51.2 can damage a WAL that
// several write and checkpoint at once. Rejected: one row for each (source, interpreter, level), for what
// collides in reality are file names.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "daemon/file_result.h"
#include "daemon/interpreter.h"
#include "daemon/known_error.h"
#include "daemon/made_file.h"
#include "daemon/watched_root.h"
#include "daemon/work_counts.h"

namespace kiln {

enum class EntryState : std::uint8_t { fresh, stale, error, orphan };

std::string_view word(EntryState state);
std::optional<EntryState> entry_state_from_word(std::string_view word);

struct IndexEntry {
  std::string source;
  std::string pyc;
  std::string executable;  // of the interpreter
  std::string cache_tag;
  int optimize = 0;
  std::uint32_t magic = 0;  // of the bytecode
  EntryState state{};
  std::optional<CompileError> error;
  std::string warnings;
  MadeFile made;
  std::uint32_t umask = 0;           // of the user for whom it was written
  std::int64_t source_mtime_ns = 0;  // of the source that was compiled, or failed to be
  std::uint64_t source_size = 0;     // bytes
  std::int64_t pyc_mtime_ns = 0;     // of the bytecode file, as it was seen last; 0: there was none
  std::uint64_t pyc_size = 0;        // bytes
  std::uint64_t made_us = 0;         // that making it took; 0: that is not known
  bool restored = false;             // then it was taken from the store
};

// A run that has ended: which program, and which set of modules it imported.
struct EndedRun {
  std::string entry;  // RunRecord::entry
  std::uint64_t imports_hash = 0;
  std::int64_t ended_ns = 0;  // since the epoch

  bool operator==(const EndedRun&) const = default;
};

using CountsByReason = std::map<std::string, std::uint64_t>;  // runs, by word(Reason)

struct KeptCounts {
  CountsByReason counts;
  WorkCounts work;
  std::int64_t since_s = 0;  // since the epoch, of the first; 0: there is none
};

// The same of an interpreter that the index knows.
struct RunTime {
  std::string executable;
  EndedRun run;            // the last one
  std::uint64_t runs = 1;  // how many there were

  bool operator==(const RunTime&) const = default;
};

// A program, by an interpreter, and when it ran last.
struct EntryPoint {
  std::string entry;
  std::string executable;
  std::string version;  // of the interpreter: 3.11.2
  std::int64_t last_run_ns = 0;

  bool operator==(const EntryPoint&) const = default;
};

struct RecordLimits {
  std::int64_t entry_points = 4'096;  // rows
  std::int64_t variants = 16;         // sets of imports of one program by one interpreter
  std::int64_t imports = 1'000'000;   // rows
};

enum class CleanMode : std::uint8_t { real, dry_run };  // dry: nothing is removed, all else is as if

// What clean() did, by path of the bytecode file.
struct CleanedOrphans {
  std::vector<std::string> removed;
  std::vector<std::string> kept;     // could not be removed
  std::vector<std::string> foreign;  // are no bytecode: left as they are
};

struct IndexCounts {
  std::uint64_t fresh = 0;
  std::uint64_t stale = 0;
  std::uint64_t error = 0;
  std::uint64_t orphan = 0;

  std::uint64_t entries() const { return fresh + stale + error + orphan; }
  bool operator==(const IndexCounts&) const = default;
};

struct IndexFilter {
  std::optional<EntryState> state;
  std::string path;        // a source, or a directory with all below it; absolute; empty: everything
  std::string executable;  // of the interpreter; empty: of any
  std::string binary;      // of the interpreter: its executable, or what is behind it; empty: of any
  bool direct = false;     // with PATH a directory: not what is in directories below it
  bool with_gone = false;  // also entries of which neither source nor bytecode are there
};

// Blocks, and belongs to one thread at a time. Every failure of SQLite comes back as Reason::system. Never
// fork with one open, and open no other descriptor on its file: closing that would drop the locks.
class Index {
 public:
  // Opens or creates the database PATH, whose directory exists. Bytecode below OVERLAY, a directory, is
  // judged as the overlay's (common/overlay.h); empty: there is none.
  static Result<Index> open(const std::string& path, const std::string& overlay = {});

  Index(Index&&) noexcept;
  Index& operator=(Index&&) noexcept;
  ~Index();

  // Where a former database now lies that could not be used, if there was one.
  const std::optional<std::string>& set_aside() const;

  // Has SQLite look over the whole database (PRAGMA quick_check), as it is on the disk, unless its files are as
  // they were when that found nothing. What it finds; empty: nothing. Damage may also be the Error.
  Result<std::string> find_damage();
  // The same of the database PATH, which nobody has open, and which is left as it is: not even a lock is
  // taken. Reason::not_found: there is none. Reason::overloaded: whoever had it open was killed, and left
  // changes that only the next one will take over.
  static Result<std::string> find_damage_in(const std::string& path);

  // Adds or updates an interpreter. When its magic number has changed its entries become stale.
  Result<void> record(const InterpreterInfo& interpreter);

  // Adds or updates what a precompilation at this level did, in one transaction, interpreter included. What
  // did not change is not written.
  Result<void> record(const InterpreterInfo& interpreter, int optimize, std::span<const FileResult> files);

  Result<IndexCounts> counts();

  // Entries in state error of which the source is to blame.
  Result<KnownErrors> known_errors();

  // All of them, by path.
  Result<std::vector<InterpreterInfo>> interpreters();

  // Those that are others than when their entries were examined the last time: by what was recorded since, or
  // by the file at their path, which may not have been recorded yet. One that is gone is not among them.
  Result<std::vector<std::string>> changed_interpreters();

  // All entries of the interpreter were examined, while BINARY was behind its path.
  Result<void> set_examined(const std::string& executable, const BinaryIdentity& binary);

  // Looks at every source and bytecode file again: two stats each, and a look into the bytecode where one of
  // them has changed. STOP ends it between batches; what was found until then is kept. An entry of which both
  // are gone is dropped, unless a recorded run imported the source: then nobody hears of it until one of them
  // is back.
  Result<void> refresh(const std::stop_token& stop = {});
  // The same for those that pass FILTER, whose state does not count.
  Result<void> refresh(const IndexFilter& filter, const std::stop_token& stop = {});

  // Sources that were found doubtful (daemon/freshness.h) since the last call; their entries are stale until
  // somebody has looked at the code.
  std::vector<std::string> take_doubts();

  // Looks for what is *misleading* among what passes FILTER: bytecode that Python's own rule takes for that
  // of its source, whose size and second of change are as they were, though it is not or nobody knows.
  // Refreshes find it, too; this writes nothing, and what Python compiles itself costs no more than two
  // stats.
  Result<void> find_misleading(const IndexFilter& filter, const std::stop_token& stop = {});
  // Removes, where background.h allows it, what was found to be misleading. Its entry is stale until a look
  // finds it made anew. Returns the files.
  Result<std::vector<std::string>> remove_misleading();

  // Sources that were this very file when they were compiled last.
  Result<std::vector<std::string>> names_of(const FileStamp& source);

  // Those of the source PATH, absolute, or of all below that directory.
  Result<MadeFiles> made_files(const std::string& path);

  // Adds or updates what a run at this level imported, in one transaction: FILES as of record(), and RUN with
  // the sources in MODULES, absolute, for the dependency record. Forgets what is beyond LIMITS.
  Result<void> record_run(const InterpreterInfo& interpreter, int optimize, std::span<const FileResult> files,
                          const EndedRun& run, std::span<const std::string> modules,
                          const RecordLimits& limits = {});
  // Moves the times of runs whose imports are recorded. What has been forgotten stays so.
  Result<void> record_times(std::span<const RunTime> runs);

  // Which programs imported the source MODULE, newest first.
  Result<std::vector<EntryPoint>> importers(const std::string& module);
  // With which interpreters ENTRY was run, newest first.
  Result<std::vector<EntryPoint>> runs_of(const std::string& entry);
  // At most COUNT programs, those that were run most often first; what is given by -c is none.
  Result<std::vector<EntryPoint>> most_used(std::size_t count);
  // At most COUNT sources that were imported, latest first.
  Result<std::vector<std::string>> imported_modules(std::size_t count);
  // That of the bytecode file PYC. Nothing: it has no entry.
  Result<std::optional<std::string>> source_of(const std::string& pyc);

  // Adds to the counts of runs, at NOW_S since the epoch.
  Result<void> add_counts(const CountsByReason& counts, std::int64_t now_s);
  // Adds to what else is counted.
  Result<void> add_work(const WorkCounts& work);
  // Returns all of them. With RESET, they begin anew at NOW_S.
  Result<KeptCounts> take_counts(bool reset, std::int64_t now_s);

  // What is watched, by path. One that is added again has the new patterns.
  Result<std::vector<WatchedRoot>> roots();
  Result<void> add_root(const WatchedRoot& root);
  // Its policy and patterns are others now. One that is no longer there stays so.
  Result<void> renew_root(const WatchedRoot& root);
  Result<void> remove_root(const std::string& path);

  // Removes the bytecode files of orphans that pass FILTER, whose state does not count, directories that are
  // empty without them, and their entries. Looks again before: a source that is back keeps its bytecode. So
  // does bytecode in the directory of its source, which Python imports without that, and whatever else has
  // the name by now.
  Result<CleanedOrphans> clean_orphans(const IndexFilter& filter, CleanMode mode = CleanMode::real);

  // Drops the entries of these bytecode files, which were removed on purpose.
  Result<void> forget(std::span<const std::string> pycs);

  // Calls VISIT for the entries that pass FILTER, by path of the source. VISIT must not use the index.
  Result<void> list(const IndexFilter& filter, const std::function<void(const IndexEntry&)>& visit);
  // The first COUNT of those whose sources are behind AFTER ("": all), and what else there is of the last
  // source. Empty: there are no more.
  Result<std::vector<IndexEntry>> list_part(const IndexFilter& filter, const std::string& after,
                                            std::size_t count);

 private:
  class Database;
  explicit Index(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

}  // namespace kiln
