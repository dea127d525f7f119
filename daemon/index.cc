#include "daemon/index.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "common/path_text.h"
#include "common/pyc.h"
#include "common/unique_fd.h"
#include "daemon/background.h"
#include "daemon/bytecode_place.h"
#include "daemon/freshness.h"
#include "daemon/source_text.h"

namespace kiln {
namespace {

// Instead of SQLite's own words, which are for who knows its pages.
constexpr char kDamaged[] = "SQLite finds it damaged";

constexpr int kApplicationId = 0x6b696c6e;  // "kiln"
constexpr int kBusyTimeoutMs = 5'000;
constexpr std::size_t kRefreshBatch = 1'000;  // rows a transaction
constexpr std::size_t kReserved =
    1'024;                             // entries of a part, at most, that room is made for before they come
constexpr std::int64_t kRare = 1'000;  // entries

// MIGRATIONS[n] leads from user_version n to n + 1. Never change one that was released.
constexpr std::array kMigrations = {
    R"(CREATE TABLE interpreters (
         id INTEGER PRIMARY KEY, executable TEXT NOT NULL UNIQUE, real_path TEXT NOT NULL, device INTEGER NOT NULL,
         inode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, implementation TEXT NOT NULL, version TEXT NOT NULL,
         cache_tag TEXT NOT NULL, magic INTEGER NOT NULL, prefix TEXT NOT NULL);
       CREATE TABLE sources (
         id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, device INTEGER NOT NULL, inode INTEGER NOT NULL,
         mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL);
       CREATE TABLE entries (
         id INTEGER PRIMARY KEY, pyc TEXT NOT NULL UNIQUE,
         source INTEGER NOT NULL REFERENCES sources, interpreter INTEGER NOT NULL REFERENCES interpreters,
         optimize INTEGER NOT NULL, source_mtime_ns INTEGER NOT NULL, source_size INTEGER NOT NULL,
         pyc_mtime_ns INTEGER NOT NULL, pyc_size INTEGER NOT NULL,
         state TEXT NOT NULL CHECK (state IN ('fresh', 'stale', 'error', 'orphan')),
         error_type TEXT, error_message TEXT, error_line INTEGER, error_column INTEGER);
       CREATE INDEX entries_by_state ON entries (state);
       CREATE INDEX entries_by_source ON entries (source);
       CREATE INDEX entries_by_interpreter ON entries (interpreter);)",
    R"(ALTER TABLE entries ADD COLUMN error_is_of_source INTEGER NOT NULL DEFAULT 0;
       ALTER TABLE entries ADD COLUMN warnings TEXT;
       ALTER TABLE entries ADD COLUMN magic INTEGER NOT NULL DEFAULT 0;
       UPDATE entries SET magic = (SELECT magic FROM interpreters i WHERE i.id = interpreter);)",
    // 18 is 022: nobody knows any more whose umask it was, and this is the one that most have.
    R"(ALTER TABLE entries ADD COLUMN umask INTEGER NOT NULL DEFAULT 18;)",
    R"(ALTER TABLE interpreters ADD COLUMN examined INTEGER NOT NULL DEFAULT 1;)",
    R"(CREATE TABLE roots (path TEXT NOT NULL PRIMARY KEY, ignore TEXT NOT NULL);)",
    R"(ALTER TABLE entries ADD COLUMN made_inode INTEGER NOT NULL DEFAULT 0;
       ALTER TABLE entries ADD COLUMN made_mtime_ns INTEGER NOT NULL DEFAULT 0;)",
    R"(ALTER TABLE entries ADD COLUMN source_changed_ns INTEGER NOT NULL DEFAULT 0;
       ALTER TABLE entries ADD COLUMN source_content INTEGER NOT NULL DEFAULT 0;)",
    R"(ALTER TABLE roots ADD COLUMN policy TEXT NOT NULL DEFAULT 'imported';
       ALTER TABLE roots ADD COLUMN pythons TEXT NOT NULL DEFAULT '';
       ALTER TABLE roots ADD COLUMN umask INTEGER NOT NULL DEFAULT 18;)",
    // A trigger, for a cascade knows only what refers to a row, not what it refers to.
    R"(CREATE TABLE entry_points (
         id INTEGER PRIMARY KEY, entry TEXT NOT NULL, interpreter INTEGER NOT NULL REFERENCES interpreters,
         imports_hash INTEGER NOT NULL, imports INTEGER NOT NULL, last_run_ns INTEGER NOT NULL,
         UNIQUE (entry, interpreter, imports_hash));
       CREATE TABLE modules (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
       CREATE TABLE imports (
         entry_point INTEGER NOT NULL REFERENCES entry_points ON DELETE CASCADE,
         module INTEGER NOT NULL REFERENCES modules, PRIMARY KEY (entry_point, module)) WITHOUT ROWID;
       CREATE INDEX imports_by_module ON imports (module);
       CREATE TRIGGER forget_module AFTER DELETE ON imports
         WHEN NOT EXISTS (SELECT 1 FROM imports WHERE module = OLD.module)
         BEGIN DELETE FROM modules WHERE id = OLD.module; END;)",
    R"(ALTER TABLE roots ADD COLUMN variables TEXT NOT NULL DEFAULT '';
       CREATE INDEX sources_by_inode ON sources (inode);)",
    R"(CREATE TABLE runs (reason TEXT NOT NULL PRIMARY KEY, count INTEGER NOT NULL, since_s INTEGER NOT NULL);)",
    R"(ALTER TABLE entries ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
       DROP INDEX entries_by_state;
       CREATE INDEX entries_by_state ON entries (state, gone);)",
    R"(ALTER TABLE entry_points ADD COLUMN runs INTEGER NOT NULL DEFAULT 1;)",
    R"(ALTER TABLE entries ADD COLUMN made_us INTEGER NOT NULL DEFAULT 0;
       ALTER TABLE entries ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;
       CREATE TABLE work (name TEXT NOT NULL PRIMARY KEY, count INTEGER NOT NULL);)",
};
constexpr int kSchemaVersion = static_cast<int>(kMigrations.size());

// Why a database is not used as it is.
struct Unusable {
  std::string why;
};

std::int64_t as_signed(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

// A list in one column: a NUL behind each.
std::string join(const std::vector<std::string>& texts) {
  std::string joined;
  for (const auto& text : texts) joined.append(text).push_back('\0');
  return joined;
}

std::vector<std::string> split(const std::string& joined) {
  std::vector<std::string> texts;
  for (std::size_t at = 0; at < joined.size(); at += texts.back().size() + 1) {
    texts.emplace_back(joined.c_str() + at);
  }
  return texts;
}

void bind_text(SQLite::Statement& statement, int index, std::string_view text) {
  statement.bind(index, std::string(text));
}

int pragma(SQLite::Database& database, const std::string& name) {
  return database.execAndGet("PRAGMA " + name).getInt();
}

void configure(SQLite::Database& database) {
  // Bookworm's library deletes securely, which doubles the writes. No mmap: an I/O error would be a SIGBUS.
  database.exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA mmap_size "
      "= 0;"
      "PRAGMA secure_delete = OFF; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 16777216;"
      "PRAGMA cache_size = -8192");
}

void check(SQLite::Database& database) {
  const int application = pragma(database, "application_id");
  const bool empty = database.execAndGet("SELECT count(*) FROM sqlite_master").getInt() == 0;
  if (application != kApplicationId && !(application == 0 && empty)) throw Unusable{"it is no index of Kiln"};
  if (pragma(database, "user_version") > kSchemaVersion) throw Unusable{"a newer Kiln has written it"};
  const auto verdict = database.execAndGet("PRAGMA quick_check(1)").getString();
  if (verdict != "ok") throw Unusable{verdict};
}

// All missing migrations in one transaction: after a kill there is either version.
void migrate(SQLite::Database& database) {
  const int version = pragma(database, "user_version");
  if (version == kSchemaVersion) return;
  SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
  for (int step = version; step < kSchemaVersion; ++step)
    database.exec(kMigrations[static_cast<std::size_t>(step)]);
  database.exec("PRAGMA application_id = " + std::to_string(kApplicationId));
  database.exec("PRAGMA user_version = " + std::to_string(kSchemaVersion));
  transaction.commit();
}

// The contents are at fault, and not the disk or the permissions.
bool is_damage(const SQLite::Exception& problem) {
  const int code = problem.getErrorCode();
  return code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR || code == SQLITE_SCHEMA;
}

Error sqlite_error(const SQLite::Exception& problem) {
  return {Reason::system, std::string("the index failed: ") + problem.what(), "kiln doctor"};
}

// SQLiteCpp throws; here that ends.
template <class Function>
auto guarded(Function function) -> Result<decltype(function())> {
  try {
    if constexpr (std::is_void_v<decltype(function())>) {
      function();
      return {};
    } else {
      return function();
    }
  } catch (const SQLite::Exception& problem) {
    return sqlite_error(problem);
  }
}

// One thread at a time uses the connection, which needs no locks of its own then: a fifth of a long list's
// time.
std::unique_ptr<SQLite::Database> open_database(const std::string& path) {
  const int flags = SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE | SQLite::OPEN_NOMUTEX;
  auto database = std::make_unique<SQLite::Database>(path, flags, kBusyTimeoutMs);
  configure(*database);
  check(*database);
  migrate(*database);
  return database;
}

// Returns the new name.
std::string rename_all(const std::string& path) {
  const auto aside = path + ".set-aside";
  for (const char* suffix : {"-wal", "-shm", ""}) {
    std::remove((aside + suffix).c_str());
    std::rename((path + suffix).c_str(), (aside + suffix).c_str());
  }
  return aside;
}

// What a refresh knows of an entry, and what it finds.
struct Row {
  std::int64_t id = 0;
  std::string source;
  std::string pyc;
  std::uint32_t magic = 0;
  EntryState state{};
  std::int64_t source_mtime_ns = 0;
  std::int64_t source_size = 0;
  std::int64_t pyc_mtime_ns = 0;
  std::int64_t pyc_size = 0;
  MadeFile made;
  bool gone = false;
};

struct Finding {
  bool changed = false;
  bool dropped = false;
  bool gone = false;  // source and bytecode
  EntryState state{};
  FileStamp source;       // fresh only
  FileStamp pyc;          // fresh only
  bool doubtful = false;  // stale only: to be told by who compiles
  bool misleading =
      false;  // stale only: Python's own rule takes it for fresh, or may take what lies beside it
};

std::optional<FileStamp> look_at(const std::string& path) {
  struct stat status {};
  errno = 0;
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return stamp_of(status);
}

// Whether it is hidden rather than gone: by a directory that may not be searched now.
bool was_hidden(const std::optional<FileStamp>& stamp) {
  return !stamp && errno == EACCES;
}

std::optional<PycHeader> header_of(const std::string& pyc) {
  const UniqueFd fd{::open(pyc.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  char start[kMaxPycHeaderSize];
  const ssize_t size = fd ? ::read(fd.get(), start, sizeof start) : 0;
  const auto header = parse_pyc_header({start, static_cast<std::size_t>(std::max<ssize_t>(size, 0))});
  return header ? std::optional(*header) : std::nullopt;
}

// 0: it cannot be read.
std::uint32_t magic_of(const std::string& pyc) {
  const auto header = header_of(pyc);
  return header ? header->magic : 0;
}

bool remove_bytecode(const std::string& pyc) {
  if (::unlink(pyc.c_str()) != 0 && errno != ENOENT) return false;
  const std::string directory(directory_of(pyc));
  if (directory.ends_with("/__pycache__")) ::rmdir(directory.c_str());  // unless others are in it
  return true;
}

bool source_unchanged(const Row& row, const FileStamp& source) {
  return source.modified_ns == row.source_mtime_ns && as_signed(source.size) == row.source_size &&
         source.changed_ns == row.made.source_changed_ns;
}

// By its content, where its time was not settled.
template <class Content>
bool is_same_source(const Row& row, const FileStamp& source, const Content& content) {
  if (source_unchanged(row, source)) return true;
  const bool may_be = source.modified_ns == row.source_mtime_ns && as_signed(source.size) == row.source_size;
  return may_be && row.made.source_content != 0 && content() == row.made.source_content;
}

bool pyc_unchanged(const Row& row, const FileStamp& pyc) {
  return pyc.modified_ns == row.pyc_mtime_ns && as_signed(pyc.size) == row.pyc_size;
}

// Bytecode of the overlay. Where there is one in the tree, that has an entry.
Finding superseded(const Row& row) {
  if (look_at(place_in_tree(row.pyc, row.source))) return {.changed = true, .dropped = true};
  return {.changed = row.gone || row.state != EntryState::stale, .state = EntryState::stale};
}

bool misleads(const PycCheck& check) {
  return check.kind == PycKind::timestamp &&
         (check.freshness == Freshness::doubtful || check.freshness == Freshness::changed);
}

// In DIRECTORY: other bytecode of the sources of ROWS, which are by their own bytecode.
std::vector<std::string> misleading_beside(const std::string& directory,
                                           const std::map<std::string, Row>& rows) {
  std::map<std::string, FileStamp> sources;
  for (const auto& [pyc, row] : rows) {
    if (const auto source = look_at(row.source)) sources.emplace(row.source, *source);
  }
  std::vector<std::string> found;
  std::error_code failed;
  std::filesystem::directory_iterator at(directory, failed);
  for (const std::filesystem::directory_iterator end; !failed && at != end; at.increment(failed)) {
    const std::string pyc = at->path();
    const auto of = source_from_cache(pyc);
    const auto source = of && !rows.contains(pyc) ? sources.find(*of) : sources.end();
    if (source == sources.end()) continue;
    const PycQuestion question{magic_of(pyc), source->second, {}, {}, false};
    if (misleads(check_pyc(pyc, question))) found.push_back(pyc);
  }
  return found;
}

Finding examine(const Row& row, bool sealed) {
  const auto source = look_at(row.source);
  if (was_hidden(source)) return {};
  const auto pyc = look_at(row.pyc);
  if (!source && !pyc) return {.changed = !row.gone, .gone = true, .state = EntryState::stale};
  if (!source) return {.changed = row.gone || row.state != EntryState::orphan, .state = EntryState::orphan};
  const auto content = [&] { return content_of(row.source); };
  if (row.state == EntryState::error && is_same_source(row, *source, content)) return {};
  if (row.state == EntryState::fresh && pyc && source_unchanged(row, *source) && pyc_unchanged(row, *pyc))
    return {};
  const auto hash = [&] { return source_hash_of(row.source, row.magic); };
  const PycQuestion question{row.magic, *source, {}, hash, sealed, &row.made, content};
  const auto check = check_pyc(row.pyc, question);
  if (check.freshness != Freshness::fresh) {
    const bool doubtful = check.freshness == Freshness::doubtful;
    const bool changed = row.gone || row.state != EntryState::stale;
    return {.changed = changed,
            .state = EntryState::stale,
            .doubtful = doubtful,
            .misleading = !sealed && (misleads(check) || check.freshness == Freshness::missing)};
  }
  Finding fresh{.changed = true, .state = EntryState::fresh, .source = *source, .pyc = check.stamp};
  if (!is_settled(*source)) fresh.source.changed_ns = 0;
  return fresh;
}

// Whether Python's own rule, of the source's second of change and its size, takes bytecode that was made for
// the source as ROW has it.
bool suits_by_rule(const Row& row, const FileStamp& source) {
  FileStamp made = source;
  made.modified_ns = row.source_mtime_ns;
  return made.python_mtime_s() == source.python_mtime_s() &&
         static_cast<std::uint32_t>(row.source_size) == static_cast<std::uint32_t>(source.size);
}

bool may_mislead(const Row& row) {
  const auto source = look_at(row.source);
  if (!source) return false;
  const auto pyc = look_at(row.pyc);
  const bool is_as_made = row.state != EntryState::error && pyc && pyc_unchanged(row, *pyc);
  if (!is_as_made) return true;
  return suits_by_rule(row, *source) && (row.state != EntryState::fresh || !source_unchanged(row, *source));
}

// Bytecode that is not recorded, of a source that was changed shortly before: that may have been while it was
// compiled. It may well be good; but the code was not looked at yet.
bool may_lack_an_edit(const Row& row) {
  constexpr std::int64_t kCompiling_ns = 1'000'000'000;
  const auto source = look_at(row.source);
  const auto pyc = look_at(row.pyc);
  const bool may_be =
      source && pyc && !row.made.is(*pyc) && source->changed_ns + kCompiling_ns > pyc->changed_ns;
  const auto header = may_be ? header_of(row.pyc) : std::nullopt;
  return header && header->kind == PycKind::timestamp;
}

Finding examine_to_settle(const Row& row) {
  Finding finding = examine(row, false);
  const bool is_doubtful = finding.changed && finding.state == EntryState::fresh && may_lack_an_edit(row);
  finding.doubtful = finding.doubtful || is_doubtful;
  finding.misleading = finding.misleading || is_doubtful;
  return finding;
}

// Four columns from FIRST on.
MadeFile read_made(SQLite::Statement& select, int first) {
  return {static_cast<std::uint64_t>(select.getColumn(first).getInt64()),
          select.getColumn(first + 1).getInt64(), select.getColumn(first + 2).getInt64(),
          static_cast<std::uint64_t>(select.getColumn(first + 3).getInt64())};
}

Row read_row(SQLite::Statement& select) {
  return {select.getColumn(0).getInt64(),
          select.getColumn(1).getString(),
          select.getColumn(2).getString(),
          static_cast<std::uint32_t>(select.getColumn(3).getInt64()),
          entry_state_from_word(select.getColumn(4).getString()).value_or(EntryState::stale),
          select.getColumn(5).getInt64(),
          select.getColumn(6).getInt64(),
          select.getColumn(7).getInt64(),
          select.getColumn(8).getInt64(),
          read_made(select, 9),
          select.getColumn(13).getInt() != 0};
}

IndexEntry read_entry(SQLite::Statement& select) {
  IndexEntry entry;
  entry.source = select.getColumn(0).getString();
  entry.pyc = select.getColumn(1).getString();
  entry.executable = select.getColumn(2).getString();
  const auto name = parse_pyc_name(std::string_view(entry.pyc).substr(entry.pyc.rfind('/') + 1));
  entry.cache_tag = name ? name->tag : select.getColumn(3).getString();
  entry.optimize = select.getColumn(4).getInt();
  entry.state = entry_state_from_word(select.getColumn(5).getString()).value_or(EntryState::stale);
  if (!select.getColumn(6).isNull()) {
    entry.error = CompileError{select.getColumn(6).getString(), select.getColumn(7).getString(),
                               select.getColumn(8).getInt(), select.getColumn(9).getInt()};
  }
  if (!select.getColumn(10).isNull()) entry.warnings = select.getColumn(10).getString();
  entry.magic = static_cast<std::uint32_t>(select.getColumn(11).getInt64());
  entry.pyc_mtime_ns = select.getColumn(12).getInt64();
  entry.pyc_size = static_cast<std::uint64_t>(select.getColumn(13).getInt64());
  entry.made_us = static_cast<std::uint64_t>(select.getColumn(14).getInt64());
  entry.restored = select.getColumn(15).getInt() != 0;
  return entry;
}

// With what no list shows: of very many entries each column counts.
IndexEntry read_whole_entry(SQLite::Statement& select) {
  IndexEntry entry = read_entry(select);
  entry.umask = static_cast<std::uint32_t>(select.getColumn(16).getInt());
  entry.made = read_made(select, 17);
  entry.source_mtime_ns = select.getColumn(21).getInt64();
  entry.source_size = static_cast<std::uint64_t>(select.getColumn(22).getInt64());
  return entry;
}

// Python imports bytecode that lies where its source was (`compileall -b`): a tree may be deployed so.
bool is_sourceless(const IndexEntry& entry) {
  return directory_of(entry.pyc) == directory_of(entry.source);
}

// Whether what lies in the place of an orphan is no bytecode. Nothing at all is not meant. Its size and time
// do not count: Python may have written it anew, unseen, before the source went.
bool is_another_file(const IndexEntry& entry) {
  struct stat status {};
  if (::lstat(entry.pyc.c_str(), &status) != 0) return false;
  if (!S_ISREG(status.st_mode)) return true;
  const std::uint32_t magic = magic_of(entry.pyc);
  return magic != entry.magic && !bytecode_format(magic) && !is_pypy_magic(magic);
}

}  // namespace

std::string_view word(EntryState state) {
  switch (state) {
    case EntryState::fresh:
      return "fresh";
    case EntryState::stale:
      return "stale";
    case EntryState::error:
      return "error";
    case EntryState::orphan:
      return "orphan";
  }
  return "unknown";
}

std::optional<EntryState> entry_state_from_word(std::string_view text) {
  for (const auto state : {EntryState::fresh, EntryState::stale, EntryState::error, EntryState::orphan}) {
    if (word(state) == text) return state;
  }
  return std::nullopt;
}

class Index::Database {
  struct Files {
    FileStamp database;
    FileStamp log;  // of what was written lately

    bool operator==(const Files&) const = default;
  };

 public:
  Database(std::unique_ptr<SQLite::Database> database, std::string overlay)
      : database_(std::move(database)), overlay_(std::move(overlay)) {}

  // Files that are as they were when nothing was wrong need no second look. Pages that are in memory would
  // hide what became of them on the disk.
  std::string find_damage() {
    const Files files = files_now();
    if (files == sound_) return "";
    sqlite3_db_release_memory(database_->getHandle());
    const auto verdict = database_->execAndGet("PRAGMA quick_check(1)").getString();
    const bool is_sound = verdict == "ok";
    if (is_sound && is_settled(files.database) && is_settled(files.log)) sound_ = files;
    return is_sound ? "" : kDamaged;
  }

  void record(const InterpreterInfo& interpreter, int optimize, std::span<const FileResult> files) {
    SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
    record_files(record_interpreter(interpreter), optimize, files);
    transaction.commit();
  }

  void record_run(const InterpreterInfo& interpreter, int optimize, std::span<const FileResult> files,
                  const EndedRun& run, std::span<const std::string> modules, const RecordLimits& limits) {
    SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
    const auto id = record_interpreter(interpreter);
    record_files(id, optimize, files);
    if (!record_time(interpreter.executable, run, 1)) {
      record_imports(insert_entry_point(id, run, modules.size()), modules);
      forget_beyond(limits);
    }
    transaction.commit();
  }

  void record_times(std::span<const RunTime> runs) {
    SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
    for (const auto& [executable, run, count] : runs) record_time(executable, run, count);
    transaction.commit();
  }

  void add_counts(const CountsByReason& counts, std::int64_t now_s) {
    SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
    for (const auto& [reason, count] : counts) {
      SQLite::Statement add(*database_,
                            "INSERT INTO runs VALUES (?, ?, ?)"
                            " ON CONFLICT (reason) DO UPDATE SET count = count + excluded.count");
      bind_text(add, 1, reason);
      add.bind(2, as_signed(count));
      add.bind(3, now_s);
      add.exec();
    }
    transaction.commit();
  }

  void add_work(const WorkCounts& work) {
    SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
    for (const auto& [name, count] : work) {
      SQLite::Statement add(*database_,
                            "INSERT INTO work VALUES (?, ?)"
                            " ON CONFLICT (name) DO UPDATE SET count = count + excluded.count");
      bind_text(add, 1, name);
      add.bind(2, as_signed(count));
      add.exec();
    }
    database_->exec("INSERT OR IGNORE INTO runs VALUES ('', 0, CAST(strftime('%s', 'now') AS INTEGER))");
    transaction.commit();
  }

  // A reset leaves one row of no runs, for its time. So does what is counted beside runs.
  KeptCounts take_counts(bool reset, std::int64_t now_s) {
    SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
    KeptCounts kept;
    SQLite::Statement select(*database_, "SELECT reason, count FROM runs WHERE count > 0");
    while (select.executeStep())
      kept.counts[select.getColumn(0).getString()] =
          static_cast<std::uint64_t>(select.getColumn(1).getInt64());
    kept.since_s = database_->execAndGet("SELECT ifnull(min(since_s), 0) FROM runs").getInt64();
    SQLite::Statement work(*database_, "SELECT name, count FROM work");
    while (work.executeStep())
      kept.work[work.getColumn(0).getString()] = static_cast<std::uint64_t>(work.getColumn(1).getInt64());
    if (reset) {
      database_->exec("DELETE FROM work");
      database_->exec("DELETE FROM runs");
      database_->exec("INSERT INTO runs VALUES ('', 0, " + std::to_string(now_s) + ")");
    }
    transaction.commit();
    return kept;
  }

  std::vector<EntryPoint> importers(const std::string& module) {
    return entry_points(
        "p.id IN (SELECT entry_point FROM imports"
        " WHERE module = (SELECT id FROM modules WHERE path = ?))",
        module);
  }

  std::vector<EntryPoint> runs_of(const std::string& entry) { return entry_points("p.entry = ?", entry); }

  std::vector<EntryPoint> most_used(std::size_t count) {
    SQLite::Statement select(*database_, std::string(kSelectEntryPoints) +
                                             "p.entry <> '-c' GROUP BY p.entry, p.interpreter"
                                             " ORDER BY sum(p.runs) DESC, 4 DESC LIMIT ?");
    select.bind(1, as_signed(count));
    return read_entry_points(select);
  }

  std::vector<std::string> imported_modules(std::size_t count) {
    SQLite::Statement select(*database_,
                             "SELECT m.path FROM modules m JOIN imports x ON x.module = m.id"
                             " JOIN entry_points p ON p.id = x.entry_point"
                             " GROUP BY m.id ORDER BY max(p.last_run_ns) DESC, m.path LIMIT ?");
    select.bind(1, as_signed(count));
    std::vector<std::string> modules;
    while (select.executeStep()) modules.push_back(select.getColumn(0).getString());
    return modules;
  }

  std::optional<std::string> source_of(const std::string& pyc) {
    SQLite::Statement select(
        *database_, "SELECT s.path FROM entries e JOIN sources s ON s.id = e.source WHERE e.pyc = ?");
    bind_text(select, 1, pyc);
    if (!select.executeStep()) return std::nullopt;
    return select.getColumn(0).getString();
  }

  std::vector<std::string> names_of(const FileStamp& source) {
    SQLite::Statement select(*database_, "SELECT path FROM sources WHERE inode = ? AND device = ?");
    select.bind(1, as_signed(source.inode));
    select.bind(2, as_signed(source.device));
    std::vector<std::string> names;
    while (select.executeStep()) names.push_back(select.getColumn(0).getString());
    return names;
  }

  MadeFiles made_files(const std::string& path) {
    SQLite::Statement select(*database_,
                             "SELECT e.pyc, e.made_inode, e.made_mtime_ns, e.source_changed_ns,"
                             " e.source_content FROM entries e"
                             " JOIN sources s ON s.id = e.source WHERE e.made_inode != 0 AND"
                             " (s.path = ?1 OR (s.path > ?1 || '/' AND s.path < ?1 || '0'))");
    bind_text(select, 1, path);
    MadeFiles files;
    while (select.executeStep()) {
      files[select.getColumn(0).getString()] = read_made(select, 1);
    }
    return files;
  }

  std::vector<WatchedRoot> roots() {
    SQLite::Statement select(
        *database_, "SELECT path, ignore, policy, pythons, umask, variables FROM roots ORDER BY path");
    std::vector<WatchedRoot> found;
    while (select.executeStep()) {
      found.push_back({select.getColumn(0).getString(), split(select.getColumn(1).getString()),
                       select.getColumn(2).getString(), split(select.getColumn(3).getString()),
                       static_cast<std::uint32_t>(select.getColumn(4).getInt()),
                       split(select.getColumn(5).getString())});
    }
    return found;
  }

  void renew_root(const WatchedRoot& root) {
    SQLite::Statement update(*database_, "UPDATE roots SET ignore = ?, policy = ? WHERE path = ?");
    bind_text(update, 1, join(root.ignore));
    bind_text(update, 2, root.policy);
    bind_text(update, 3, root.path);
    update.exec();
  }

  void add_root(const WatchedRoot& root) {
    SQLite::Statement insert(*database_,
                             "INSERT OR REPLACE INTO roots (path, ignore, policy, pythons, umask, variables)"
                             " VALUES (?, ?, ?, ?, ?, ?)");
    bind_text(insert, 1, root.path);
    bind_text(insert, 2, join(root.ignore));
    bind_text(insert, 3, root.policy);
    bind_text(insert, 4, join(root.pythons));
    insert.bind(5, static_cast<int>(root.umask));
    bind_text(insert, 6, join(root.variables));
    insert.exec();
  }

  void remove_root(const std::string& path) {
    SQLite::Statement remove(*database_, "DELETE FROM roots WHERE path = ?");
    bind_text(remove, 1, path);
    remove.exec();
  }

  KnownErrors known_errors() {
    SQLite::Statement select(
        *database_,
        "SELECT e.pyc, e.source_mtime_ns, e.source_size, e.magic, e.error_type,"
        " e.error_message, e.error_line, e.error_column, e.source_changed_ns FROM entries e"
        " WHERE e.state = 'error' AND e.error_is_of_source");
    KnownErrors known;
    while (select.executeStep()) {
      known[select.getColumn(0).getString()] = {
          select.getColumn(1).getInt64(),
          select.getColumn(8).getInt64(),
          static_cast<std::uint64_t>(select.getColumn(2).getInt64()),
          static_cast<std::uint32_t>(select.getColumn(3).getInt64()),
          {select.getColumn(4).getString(), select.getColumn(5).getString(), select.getColumn(6).getInt(),
           select.getColumn(7).getInt()}};
    }
    return known;
  }

  std::vector<InterpreterInfo> interpreters() {
    SQLite::Statement select(*database_,
                             "SELECT executable, implementation, version, cache_tag, magic FROM interpreters"
                             " ORDER BY executable");
    std::vector<InterpreterInfo> found;
    while (select.executeStep()) {
      InterpreterInfo info;
      info.executable = select.getColumn(0).getString();
      info.implementation = select.getColumn(1).getString();
      info.version = select.getColumn(2).getString();
      info.cache_tag = select.getColumn(3).getString();
      info.magic = static_cast<std::uint32_t>(select.getColumn(4).getInt64());
      found.push_back(std::move(info));
    }
    return found;
  }

  std::vector<std::string> changed_interpreters() {
    SQLite::Statement select(
        *database_,
        "SELECT executable, real_path, device, inode, mtime_ns, examined FROM interpreters"
        " ORDER BY executable");
    std::vector<std::string> changed;
    while (select.executeStep()) {
      auto executable = select.getColumn(0).getString();
      const auto binary = identify_binary(executable);
      const bool examined = select.getColumn(5).getInt() != 0;
      if (binary && !(examined && *binary == read_binary(select))) changed.push_back(std::move(executable));
    }
    return changed;
  }

  void set_examined(const std::string& executable, const BinaryIdentity& binary) {
    SQLite::Statement update(*database_,
                             "UPDATE interpreters SET examined = 1 WHERE executable = ?"
                             " AND (real_path, device, inode, mtime_ns) IS (?, ?, ?, ?)");
    bind_text(update, 1, executable);
    bind_binary(update, 2, binary);
    update.exec();
  }

  IndexCounts counts() {
    IndexCounts counts;
    SQLite::Statement select(*database_, "SELECT state, count(*) FROM entries WHERE NOT gone GROUP BY state");
    while (select.executeStep()) {
      const auto count = static_cast<std::uint64_t>(select.getColumn(1).getInt64());
      switch (entry_state_from_word(select.getColumn(0).getString()).value_or(EntryState::stale)) {
        case EntryState::fresh:
          counts.fresh = count;
          break;
        case EntryState::stale:
          counts.stale = count;
          break;
        case EntryState::error:
          counts.error = count;
          break;
        case EntryState::orphan:
          counts.orphan = count;
          break;
      }
    }
    return counts;
  }

  void refresh(const std::stop_token& stop) {
    refresh(IndexFilter{}, stop);
    database_->exec(
        "DELETE FROM entries WHERE state = 'stale' AND gone = 1 AND source NOT IN"
        " (SELECT s.id FROM sources s JOIN modules m ON m.path = s.path)");
    database_->exec("DELETE FROM sources WHERE id NOT IN (SELECT source FROM entries)");
  }

  void refresh(const IndexFilter& filter, const std::stop_token& stop) {
    for_batches(filter, stop, [this](const std::vector<Row>& rows) { apply(rows); });
  }

  void find_misleading(const IndexFilter& filter, const std::stop_token& stop) {
    for_batches(filter, stop, [this](const std::vector<Row>& rows) {
      for (const auto& row : rows) {
        if (!is_overlaid(row.pyc) && may_mislead(row)) note(row, examine_to_settle(row));
      }
    });
  }

  void list(const IndexFilter& filter, const std::function<void(const IndexEntry&)>& visit) {
    SQLite::Statement select = select_entries(filter, {});
    for_sources(select, read_whole_entry, [&](std::vector<IndexEntry>& entries) {
      std::ranges::for_each(entries, visit);
      return true;
    });
  }

  std::vector<IndexEntry> list_part(const IndexFilter& filter, const std::string& after, std::size_t count) {
    SQLite::Statement select = select_entries(filter, after);
    std::vector<IndexEntry> part;
    part.reserve(std::min(count, kReserved));
    for_sources(select, read_entry, [&](std::vector<IndexEntry>& entries) {
      std::ranges::move(entries, std::back_inserter(part));
      return part.size() < count;
    });
    return part;
  }

  // Calls VISIT with the entries of one source after the other, by the names of their bytecode, until it is
  // enough. SQLite, told to order them so, would set up a sorter for each source.
  template <class Read, class Visit>
  static void for_sources(SQLite::Statement& select, Read read, Visit visit) {
    std::vector<IndexEntry> entries;
    const auto visit_ordered = [&] {
      std::ranges::sort(entries, {}, &IndexEntry::pyc);
      return visit(entries);
    };
    while (select.executeStep()) {
      IndexEntry entry = read(select);
      if (!entries.empty() && entry.source != entries.front().source) {
        if (!visit_ordered()) return;
        entries.clear();
      }
      entries.push_back(std::move(entry));
    }
    if (!entries.empty()) visit_ordered();
  }

  // Others may have made good what was found: it is looked at again. What misleads in one file does so in
  // those for other versions and levels, which may have no entry.
  std::vector<std::string> remove_misleading() {
    SQLite::Statement select(*database_, std::string(kSelectRows) + "WHERE e.pyc = ?");
    std::map<std::string, std::map<std::string, Row>> by_directory;
    for (const auto& pyc : std::exchange(misleading_, {})) {
      bind_text(select, 1, pyc);
      if (select.executeStep()) by_directory[std::string(directory_of(pyc))].emplace(pyc, read_row(select));
      select.reset();
    }
    std::vector<std::string> removed;
    for (const auto& [directory, rows] : by_directory) {
      auto found = misleading_beside(directory, rows);
      for (const auto& [pyc, row] : rows) {
        // Itself may be gone, too.
        if (may_mislead(row) && examine_to_settle(row).misleading) found.push_back(pyc);
      }
      if (!may_write_unasked(directory + "/", ::geteuid())) continue;
      for (auto& file : found) {
        if (::unlink(file.c_str()) == 0) removed.push_back(std::move(file));
      }
    }
    return removed;
  }

  CleanedOrphans clean_orphans(IndexFilter filter, CleanMode mode) {
    filter.state = EntryState::orphan;
    CleanedOrphans done;
    list(filter, [&](const IndexEntry& entry) {
      if (look_at(entry.source) || is_sourceless(entry)) return;
      if (is_another_file(entry)) return done.foreign.push_back(entry.pyc);
      const bool is_removed = mode == CleanMode::dry_run || remove_bytecode(entry.pyc);
      (is_removed ? done.removed : done.kept).push_back(entry.pyc);
    });
    if (mode == CleanMode::real) forget(done.removed);
    return done;
  }

  void forget(std::span<const std::string> pycs) {
    SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
    SQLite::Statement drop(*database_, "DELETE FROM entries WHERE pyc = ?");
    for (const auto& pyc : pycs) {
      drop.reset();
      bind_text(drop, 1, pyc);
      drop.exec();
    }
    transaction.commit();
  }

  std::optional<std::string> set_aside;
  std::vector<std::string> doubts;

 private:
  // Whether a row passes a filter but for its state, as a condition that uses what is indexed; with PATH
  // "+s.path", the index is not used. '0' follows '/': the range is all that begins with PATH/.
  static std::string condition(const IndexFilter& filter, const std::string& path = "s.path") {
    std::string text = "(?2 = '' OR i.executable = ?2)";
    if (!filter.path.empty()) {
      text += " AND (" + path + " = ?1 OR (" + path + " > ?1 || '/' AND " + path + " < ?1 || '0'))";
    }
    if (filter.direct) text += " AND ?3 AND instr(substr(s.path, length(?1) + 2), '/') = 0";
    return text;
  }

  // Few enough entries are in STATE to be sorted each time that a part of them is asked for.
  bool is_rare(EntryState state) {
    SQLite::Statement count(*database_, "SELECT count(*) FROM (SELECT 1 FROM entries WHERE state = ? LIMIT " +
                                            std::to_string(kRare + 1) + ")");
    bind_text(count, 1, word(state));
    count.executeStep();
    return count.getColumn(0).getInt64() <= kRare;
  }

  // Those that pass FILTER, of sources behind AFTER. Sources are the outer loop, so that they come in order
  // without being sorted, and a part of them costs no more than that: it has to be said (CROSS JOIN), and so
  // has the range of their index. What is rare is found by its state.
  SQLite::Statement select_entries(const IndexFilter& filter, const std::string& after) {
    const bool by_state = filter.state && is_rare(*filter.state);
    SQLite::Statement select(
        *database_,
        "SELECT s.path, e.pyc, i.executable, i.cache_tag, e.optimize, e.state, e.error_type, e.error_message,"
        " e.error_line, e.error_column, e.warnings, e.magic, e.pyc_mtime_ns, e.pyc_size, e.made_us,"
        " e.restored, e.umask, e.made_inode, e.made_mtime_ns, e.source_changed_ns, e.source_content,"
        " e.source_mtime_ns, e.source_size FROM " +
            std::string(by_state ? "entries e INDEXED BY entries_by_state CROSS JOIN sources s"
                                 : "sources s CROSS JOIN entries e") +
            " ON s.id = e.source JOIN interpreters i ON i.id = e.interpreter"
            " WHERE s.path >= ?5 AND s.path < ?1 || '0' AND s.path <> ?6 AND " +
            (filter.state ? (by_state ? "e.state = ?4" : "+e.state = ?4") : "?4 = ''") +
            " AND (?7 OR NOT e.gone) AND (?8 = '' OR ?8 IN (i.executable, i.real_path)) AND " +
            condition(filter, "+s.path") + " ORDER BY s.path");
    bind_filter(select, filter);
    bind_text(select, 4, filter.state ? word(*filter.state) : "");
    bind_text(select, 5, after.empty() ? filter.path : after);
    bind_text(select, 6, after);
    select.bind(7, filter.with_gone ? 1 : 0);
    bind_text(select, 8, filter.binary);
    return select;
  }

  static void bind_filter(SQLite::Statement& select, const IndexFilter& filter) {
    bind_text(select, 1, filter.path);
    bind_text(select, 2, filter.executable);
    select.bind(3, filter.direct ? 1 : 0);
  }

  static constexpr const char* kUpsertSource =
      "INSERT INTO sources (path, device, inode, mtime_ns, size) VALUES (?, ?, ?, ?, ?)"
      " ON CONFLICT (path) DO UPDATE SET device = excluded.device, inode = excluded.inode,"
      " mtime_ns = excluded.mtime_ns, size = excluded.size"
      " WHERE (device, inode, mtime_ns, size)"
      " IS NOT (excluded.device, excluded.inode, excluded.mtime_ns, excluded.size)";
  static constexpr const char* kUpsertEntry =
      "INSERT INTO entries (pyc, source, interpreter, optimize, source_mtime_ns, source_size, pyc_mtime_ns, "
      "pyc_size,"
      " state, error_type, error_message, error_line, error_column, error_is_of_source, warnings, magic, "
      "umask, made_inode, made_mtime_ns, source_changed_ns, source_content, made_us, restored)"
      " VALUES (?1, (SELECT id FROM sources WHERE path = ?2), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
      " ?14, ?15, (SELECT magic FROM interpreters WHERE id = ?3), ?17, iif(?20, ?18, 0), iif(?20, ?7, 0),"
      " ?19, ?20, ?21, ?22)"
      " ON CONFLICT (pyc) DO UPDATE SET source = excluded.source, interpreter = excluded.interpreter,"
      " optimize = excluded.optimize, source_mtime_ns = excluded.source_mtime_ns, source_size = "
      "excluded.source_size,"
      " pyc_mtime_ns = excluded.pyc_mtime_ns, pyc_size = excluded.pyc_size, state = excluded.state,"
      " error_type = excluded.error_type, error_message = excluded.error_message, error_line = "
      "excluded.error_line,"
      " error_column = excluded.error_column, error_is_of_source = excluded.error_is_of_source,"
      " magic = excluded.magic,"
      // A fresh file was not written just now: what it said then still holds, and whose it is.
      " warnings = iif(?16, warnings, excluded.warnings), umask = iif(?16, umask, excluded.umask),"
      // Nor was it looked into, unless its content is told.
      " made_inode = iif(?16 AND ?20 = 0, made_inode, excluded.made_inode),"
      " made_mtime_ns = iif(?16 AND ?20 = 0, made_mtime_ns, excluded.made_mtime_ns),"
      " source_content = iif(?16 AND ?20 = 0, source_content, excluded.source_content),"
      // What is as it was took what it took; what others made took nobody knows what.
      " made_us = iif(?21 != 0, ?21, iif(pyc_mtime_ns = ?7, made_us, 0)),"
      " restored = iif(?21 != 0 OR pyc_mtime_ns != ?7, ?22, restored),"
      " source_changed_ns = excluded.source_changed_ns, gone = 0"
      " WHERE (interpreter, magic, source_mtime_ns, source_size, source_changed_ns, pyc_mtime_ns, pyc_size,"
      " state, error_message)"
      " IS NOT (excluded.interpreter, excluded.magic, excluded.source_mtime_ns, excluded.source_size,"
      " excluded.source_changed_ns, excluded.pyc_mtime_ns, excluded.pyc_size, excluded.state,"
      " excluded.error_message) OR NOT (?16 OR umask = excluded.umask) OR (?20 != 0 AND made_inode != ?18)";

  // Four columns from INDEX on.
  static void bind_binary(SQLite::Statement& statement, int index, const BinaryIdentity& binary) {
    bind_text(statement, index, binary.real_path);
    statement.bind(index + 1, as_signed(binary.device));
    statement.bind(index + 2, as_signed(binary.inode));
    statement.bind(index + 3, binary.mtime_ns);
  }

  // From the second column on.
  static BinaryIdentity read_binary(SQLite::Statement& select) {
    return {select.getColumn(1).getString(), static_cast<std::uint64_t>(select.getColumn(2).getInt64()),
            static_cast<std::uint64_t>(select.getColumn(3).getInt64()), select.getColumn(4).getInt64()};
  }

  void record_files(std::int64_t interpreter, int optimize, std::span<const FileResult> files) {
    SQLite::Statement source(*database_, kUpsertSource);
    SQLite::Statement entry(*database_, kUpsertEntry);
    SQLite::Statement former(*database_, "SELECT source_changed_ns FROM entries WHERE pyc = ?");
    for (const auto& file : files) {
      if (file.outcome == FileOutcome::skipped) continue;
      if (is_of_another_source(former, file)) misleading_.insert(file.pyc);
      upsert_source(source, file);
      upsert_entry(entry, file, interpreter, optimize);
    }
  }

  // Bytecode was made anew, so there is nothing wrong with that any more; but what lies beside it, for other
  // levels and versions, may be of the former source.
  static bool is_of_another_source(SQLite::Statement& former, const FileResult& file) {
    bind_text(former, 1, file.pyc);
    const bool is_other =
        former.executeStep() && is_another(former.getColumn(0).getInt64(), file.source_stamp.changed_ns);
    former.reset();
    return is_other;
  }

  // Whether a source that was changed at NOW_NS may be another than the one at THEN_NS. Two that were not
  // settled have one time, 0.
  static bool is_another(std::int64_t then_ns, std::int64_t now_ns) {
    return now_ns == 0 || now_ns != then_ns;
  }

  // False: its imports are not recorded. An older time, written behind, does not replace a newer one.
  bool record_time(const std::string& executable, const EndedRun& run, std::uint64_t runs) {
    SQLite::Statement update(
        *database_,
        "UPDATE entry_points SET last_run_ns = max(last_run_ns, ?1), runs = runs + ?5 WHERE entry = ?2"
        " AND interpreter = (SELECT id FROM interpreters WHERE executable = ?3)"
        " AND imports_hash = ?4");
    update.bind(1, run.ended_ns);
    bind_text(update, 2, run.entry);
    bind_text(update, 3, executable);
    update.bind(4, as_signed(run.imports_hash));
    update.bind(5, as_signed(runs));
    return update.exec() > 0;
  }

  // Returns its id.
  std::int64_t insert_entry_point(std::int64_t interpreter, const EndedRun& run, std::size_t imports) {
    SQLite::Statement insert(
        *database_,
        "INSERT INTO entry_points (entry, interpreter, imports_hash, imports, last_run_ns)"
        " VALUES (?, ?, ?, ?, ?)");
    bind_text(insert, 1, run.entry);
    insert.bind(2, interpreter);
    insert.bind(3, as_signed(run.imports_hash));
    insert.bind(4, as_signed(imports));
    insert.bind(5, run.ended_ns);
    insert.exec();
    return database_->getLastInsertRowid();
  }

  void record_imports(std::int64_t entry_point, std::span<const std::string> modules) {
    SQLite::Statement module(*database_, "INSERT OR IGNORE INTO modules (path) VALUES (?)");
    SQLite::Statement import(*database_,
                             "INSERT OR IGNORE INTO imports (entry_point, module)"
                             " SELECT ?, id FROM modules WHERE path = ?");
    for (const auto& path : modules) {
      module.reset();
      bind_text(module, 1, path);
      module.exec();
      import.reset();
      import.bind(1, entry_point);
      bind_text(import, 2, path);
      import.exec();
    }
  }

  // The newest stay.
  void forget_beyond(const RecordLimits& limits) {
    SQLite::Statement forget(
        *database_,
        "DELETE FROM entry_points WHERE id IN (SELECT id FROM (SELECT id,"
        " row_number() OVER newest AS place, sum(imports) OVER newest AS imports_so_far,"
        " row_number() OVER (PARTITION BY entry, interpreter ORDER BY last_run_ns DESC, id DESC) AS variant"
        " FROM entry_points WINDOW newest AS (ORDER BY last_run_ns DESC, id DESC ROWS UNBOUNDED PRECEDING))"
        " WHERE place > ?1 OR imports_so_far > ?2 OR variant > ?3)");
    forget.bind(1, limits.entry_points);
    forget.bind(2, limits.imports);
    forget.bind(3, limits.variants);
    forget.exec();
  }

  // Those for which CONDITION holds, with VALUE for its question mark.
  std::vector<EntryPoint> entry_points(const std::string& condition, const std::string& value) {
    SQLite::Statement select(*database_, std::string(kSelectEntryPoints) + condition +
                                             " GROUP BY p.entry, p.interpreter ORDER BY 4 DESC, 1, 2");
    bind_text(select, 1, value);
    return read_entry_points(select);
  }

  static constexpr std::string_view kSelectEntryPoints =
      "SELECT p.entry, i.executable, i.version, max(p.last_run_ns) FROM entry_points p"
      " JOIN interpreters i ON i.id = p.interpreter WHERE ";

  static std::vector<EntryPoint> read_entry_points(SQLite::Statement& select) {
    std::vector<EntryPoint> found;
    while (select.executeStep()) {
      found.push_back({select.getColumn(0).getString(), select.getColumn(1).getString(),
                       select.getColumn(2).getString(), select.getColumn(3).getInt64()});
    }
    return found;
  }

  // Returns its id.
  std::int64_t record_interpreter(const InterpreterInfo& interpreter) {
    mark_stale_if_magic_changed(interpreter);
    SQLite::Statement upsert(
        *database_,
        "INSERT INTO interpreters (executable, real_path, device, inode, mtime_ns, implementation, version, "
        "cache_tag,"
        " magic, prefix) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (executable) DO UPDATE SET real_path = excluded.real_path, device = excluded.device,"
        " inode = excluded.inode, mtime_ns = excluded.mtime_ns, implementation = excluded.implementation,"
        " version = excluded.version, cache_tag = excluded.cache_tag, magic = excluded.magic,"
        " prefix = excluded.prefix, examined = examined AND (real_path, device, inode, mtime_ns, cache_tag, "
        "magic)"
        " IS (excluded.real_path, excluded.device, excluded.inode, excluded.mtime_ns, excluded.cache_tag,"
        " excluded.magic) RETURNING id");
    bind_text(upsert, 1, interpreter.executable);
    bind_binary(upsert, 2, interpreter.binary);
    bind_text(upsert, 6, interpreter.implementation);
    bind_text(upsert, 7, interpreter.version);
    bind_text(upsert, 8, interpreter.cache_tag);
    upsert.bind(9, static_cast<std::int64_t>(interpreter.magic));
    bind_text(upsert, 10, interpreter.prefix);
    upsert.executeStep();
    return upsert.getColumn(0).getInt64();
  }

  // The same files are of another magic number now. Where the cache tag has changed as well, as when a link
  // was moved to another version, they stay good for who has the old one.
  void mark_stale_if_magic_changed(const InterpreterInfo& interpreter) {
    SQLite::Statement update(*database_,
                             "UPDATE entries SET magic = ?2, state = iif(state = 'fresh', 'stale', state)"
                             " WHERE magic <> ?2 AND interpreter ="
                             " (SELECT id FROM interpreters WHERE executable = ?1 AND cache_tag = ?3)");
    bind_text(update, 1, interpreter.executable);
    update.bind(2, static_cast<std::int64_t>(interpreter.magic));
    bind_text(update, 3, interpreter.cache_tag);
    update.exec();
  }

  static void upsert_source(SQLite::Statement& upsert, const FileResult& file) {
    upsert.reset();
    bind_text(upsert, 1, file.source);
    upsert.bind(2, as_signed(file.source_stamp.device));
    upsert.bind(3, as_signed(file.source_stamp.inode));
    upsert.bind(4, file.source_stamp.modified_ns);
    upsert.bind(5, as_signed(file.source_stamp.size));
    upsert.exec();
  }

  static void upsert_entry(SQLite::Statement& upsert, const FileResult& file, std::int64_t interpreter,
                           int optimize) {
    upsert.reset();
    upsert.clearBindings();
    bind_text(upsert, 1, file.pyc);
    bind_text(upsert, 2, file.source);
    upsert.bind(3, interpreter);
    upsert.bind(4, optimize);
    upsert.bind(5, file.source_stamp.modified_ns);
    upsert.bind(6, as_signed(file.source_stamp.size));
    upsert.bind(7, file.pyc_stamp.modified_ns);
    upsert.bind(8, as_signed(file.pyc_stamp.size));
    bind_text(upsert, 9, word(file.outcome == FileOutcome::error ? EntryState::error : EntryState::fresh));
    if (file.error) {
      bind_text(upsert, 10, file.error->type);
      bind_text(upsert, 11, file.error->message);
      upsert.bind(12, file.error->line);
      upsert.bind(13, file.error->column);
    }
    upsert.bind(14, file.error && is_of_source(*file.error) ? 1 : 0);
    if (!file.warnings.empty()) bind_text(upsert, 15, file.warnings);
    upsert.bind(16, file.outcome == FileOutcome::fresh ? 1 : 0);
    upsert.bind(17, static_cast<int>(file.umask));
    upsert.bind(18, as_signed(file.pyc_stamp.inode));
    upsert.bind(19, file.source_stamp.changed_ns);
    upsert.bind(20, as_signed(file.source_content));
    upsert.bind(21, as_signed(file.elapsed_us));
    upsert.bind(22, file.outcome == FileOutcome::restored ? 1 : 0);
    upsert.exec();
  }

  // As read_row() expects it.
  static constexpr std::string_view kSelectRows =
      "SELECT e.id, s.path, e.pyc, e.magic, e.state, e.source_mtime_ns, e.source_size, e.pyc_mtime_ns,"
      " e.pyc_size, e.made_inode, e.made_mtime_ns, e.source_changed_ns, e.source_content, e.gone FROM "
      "entries e"
      " JOIN sources s ON s.id = e.source JOIN interpreters i ON i.id = e.interpreter ";

  template <class Visit>
  void for_batches(const IndexFilter& filter, const std::stop_token& stop, Visit visit) {
    if (filter.direct) return visit(rows_directly_in(filter));
    std::int64_t last = -1;
    while (!stop.stop_requested()) {
      const auto rows = read_rows(filter, last);
      if (rows.empty()) break;
      last = rows.back().id;
      visit(rows);
      if (rows.size() < kRefreshBatch) break;
    }
  }

  std::vector<Row> read_rows(const IndexFilter& filter, std::int64_t after) {
    SQLite::Statement select(*database_, std::string(kSelectRows) + "WHERE e.id > ?4 AND " +
                                             condition(filter) + " ORDER BY e.id LIMIT ?5");
    bind_filter(select, filter);
    select.bind(4, after);
    select.bind(5, static_cast<std::int64_t>(kRefreshBatch));
    std::vector<Row> rows;
    while (select.executeStep()) rows.push_back(read_row(select));
    return rows;
  }

  // What is in directories below is passed over, not read: there may be 100,000 of them.
  std::vector<std::string> sources_directly_in(const std::string& directory) {
    SQLite::Statement select(*database_,
                             "SELECT path FROM sources WHERE path >= ?1 AND path < ?2 ORDER BY path");
    bind_text(select, 1, directory + "/");
    bind_text(select, 2, directory + "0");  // '0' follows '/'
    std::vector<std::string> paths;
    while (select.executeStep()) {
      std::string path = select.getColumn(0).getString();
      const std::size_t below = path.find('/', directory.size() + 1);
      if (below == std::string::npos) {
        paths.push_back(std::move(path));
      } else {
        select.reset();
        bind_text(select, 1, path.substr(0, below) + "0");
      }
    }
    return paths;
  }

  std::vector<Row> rows_directly_in(const IndexFilter& filter) {
    SQLite::Statement select(
        *database_, std::string(kSelectRows) + "WHERE s.path = ?1 AND (?2 = '' OR i.executable = ?2)");
    bind_text(select, 2, filter.executable);
    std::vector<Row> rows;
    for (const std::string& path : sources_directly_in(filter.path)) {
      bind_text(select, 1, path);
      while (select.executeStep()) rows.push_back(read_row(select));
      select.reset();
    }
    return rows;
  }

  void note(const Row& row, const Finding& finding) {
    if (finding.doubtful) doubts.push_back(row.source);
    const bool is_made_anew = finding.changed && finding.state == EntryState::fresh &&
                              is_another(row.made.source_changed_ns, finding.source.changed_ns);
    if (finding.misleading || is_made_anew) misleading_.insert(row.pyc);
  }

  // Looks at the files first: a slow disk must not hold a transaction open.
  void apply(const std::vector<Row>& rows) {
    std::vector<std::pair<std::int64_t, Finding>> findings;
    for (const auto& row : rows) {
      const bool overlaid = is_overlaid(row.pyc);
      const bool unused = overlaid && is_superseded(row.pyc, row.source, is_program(row.source));
      const auto finding = unused && look_at(row.source) ? superseded(row) : examine(row, overlaid);
      if (finding.changed) findings.emplace_back(row.id, finding);
      note(row, finding);
    }
    if (findings.empty()) return;
    SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
    Updates updates(*database_);
    for (const auto& [id, finding] : findings) apply(id, finding, updates);
    transaction.commit();
  }

  struct Updates {
    explicit Updates(SQLite::Database& database)
        : drop(database, "DELETE FROM entries WHERE id = ?"),
          fresh(database,
                "UPDATE entries SET state = 'fresh', source_mtime_ns = ?2, source_size = ?3,"
                " made_us = iif(pyc_mtime_ns = ?4, made_us, 0), pyc_mtime_ns = ?4, pyc_size = ?5,"
                " source_changed_ns = ?6, error_type = NULL, error_message = NULL,"
                " error_line = NULL, error_column = NULL, gone = 0 WHERE id = ?1"),
          other(database,
                "UPDATE entries SET state = ?2, error_type = NULL, error_message = NULL,"
                " error_line = NULL, error_column = NULL, gone = ?3 WHERE id = ?1") {}

    SQLite::Statement drop;
    SQLite::Statement fresh;
    SQLite::Statement other;
  };

  void apply(std::int64_t id, const Finding& finding, Updates& updates) {
    if (finding.dropped || (finding.gone && !is_imported(id))) {
      run(updates.drop, id);
    } else if (finding.state == EntryState::fresh) {
      updates.fresh.bind(2, finding.source.modified_ns);
      updates.fresh.bind(3, as_signed(finding.source.size));
      updates.fresh.bind(4, finding.pyc.modified_ns);
      updates.fresh.bind(5, as_signed(finding.pyc.size));
      updates.fresh.bind(6, finding.source.changed_ns);
      run(updates.fresh, id);
    } else {
      bind_text(updates.other, 2, word(finding.state));
      updates.other.bind(3, finding.gone ? 1 : 0);
      run(updates.other, id);
    }
  }

  static void run(SQLite::Statement& statement, std::int64_t id) {
    statement.bind(1, id);
    statement.exec();
    statement.reset();
  }

  // Whether a recorded run imported the source of this entry.
  bool is_imported(std::int64_t id) {
    SQLite::Statement select(*database_,
                             "SELECT 1 FROM entries e JOIN sources s ON s.id = e.source"
                             " JOIN modules m ON m.path = s.path WHERE e.id = ?");
    select.bind(1, id);
    return select.executeStep();
  }

  bool is_program(const std::string& source) { return !runs_of(source).empty(); }

  bool is_overlaid(const std::string& pyc) const {
    return !overlay_.empty() && pyc.starts_with(overlay_ + "/");
  }

  Files files_now() const {
    const std::string path = sqlite3_db_filename(database_->getHandle(), "main");
    return {stamp_of(path), stamp_of(path + "-wal")};
  }

  std::unique_ptr<SQLite::Database> database_;
  const std::string overlay_;
  std::optional<Files> sound_;        // as they were when nothing was found wrong
  std::set<std::string> misleading_;  // found so since it was last removed
};

Index::Index(std::unique_ptr<Database> database) : database_(std::move(database)) {}
Index::Index(Index&&) noexcept = default;
Index& Index::operator=(Index&&) noexcept = default;
Index::~Index() = default;

const std::optional<std::string>& Index::set_aside() const {
  return database_->set_aside;
}

Result<Index> Index::open(const std::string& path, const std::string& overlay) {
  try {
    return Index(std::make_unique<Database>(open_database(path), overlay));
  } catch (const Unusable&) {
  } catch (const SQLite::Exception& problem) {
    if (path.empty() || !is_damage(problem)) return sqlite_error(problem);
  }
  const auto aside = rename_all(path);
  try {
    auto database = std::make_unique<Database>(open_database(path), overlay);
    database->set_aside = aside;
    return Index(std::move(database));
  } catch (const Unusable& unusable) {
    return Error{Reason::system, "cannot use " + path + ": " + unusable.why, {}};
  } catch (const SQLite::Exception& problem) {
    return sqlite_error(problem);
  }
}

Result<void> Index::record(const InterpreterInfo& interpreter) {
  return record(interpreter, 0, {});
}

Result<void> Index::record(const InterpreterInfo& interpreter, int optimize,
                           std::span<const FileResult> files) {
  return guarded([&] { database_->record(interpreter, optimize, files); });
}

Result<void> Index::record_run(const InterpreterInfo& interpreter, int optimize,
                               std::span<const FileResult> files, const EndedRun& run,
                               std::span<const std::string> modules, const RecordLimits& limits) {
  return guarded([&] { database_->record_run(interpreter, optimize, files, run, modules, limits); });
}

Result<void> Index::add_counts(const CountsByReason& counts, std::int64_t now_s) {
  return guarded([&] { database_->add_counts(counts, now_s); });
}

Result<void> Index::add_work(const WorkCounts& work) {
  return guarded([&] { database_->add_work(work); });
}

Result<KeptCounts> Index::take_counts(bool reset, std::int64_t now_s) {
  return guarded([&] { return database_->take_counts(reset, now_s); });
}

Result<void> Index::record_times(std::span<const RunTime> runs) {
  return guarded([&] { database_->record_times(runs); });
}

Result<std::vector<EntryPoint>> Index::importers(const std::string& module) {
  return guarded([&] { return database_->importers(module); });
}

Result<std::vector<EntryPoint>> Index::runs_of(const std::string& entry) {
  return guarded([&] { return database_->runs_of(entry); });
}

Result<std::vector<EntryPoint>> Index::most_used(std::size_t count) {
  return guarded([&] { return database_->most_used(count); });
}

Result<std::vector<std::string>> Index::imported_modules(std::size_t count) {
  return guarded([&] { return database_->imported_modules(count); });
}

Result<std::optional<std::string>> Index::source_of(const std::string& pyc) {
  return guarded([&] { return database_->source_of(pyc); });
}

Result<std::string> Index::find_damage() {
  return guarded([&] { return database_->find_damage(); });
}

namespace {

// As an URI of SQLite's, by which it is told that nobody writes: then it makes no file for locks.
std::string immutable_uri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    char escaped[4];
    std::snprintf(escaped, sizeof escaped, "%%%02X", static_cast<unsigned char>(c));
    uri += c == '%' || c == '?' || c == '#' ? std::string(escaped) : std::string(1, c);
  }
  return uri + "?immutable=1";
}

}  // namespace

Result<std::string> Index::find_damage_in(const std::string& path) {
  if (!look_at(path)) return Error{Reason::not_found, "there is no " + path, {}};
  const auto log = look_at(path + "-wal");
  if (log && log->size > 0) return Error{Reason::overloaded, path + " has changes that wait in its log", {}};
  return guarded([&]() -> std::string {
    SQLite::Database database(immutable_uri(path), SQLite::OPEN_READONLY | SQLite::OPEN_URI);
    const auto verdict = database.execAndGet("PRAGMA quick_check(1)").getString();
    return verdict == "ok" ? "" : kDamaged;
  });
}

Result<IndexCounts> Index::counts() {
  return guarded([&] { return database_->counts(); });
}

Result<std::vector<InterpreterInfo>> Index::interpreters() {
  return guarded([&] { return database_->interpreters(); });
}

Result<std::vector<std::string>> Index::changed_interpreters() {
  return guarded([&] { return database_->changed_interpreters(); });
}

Result<void> Index::set_examined(const std::string& executable, const BinaryIdentity& binary) {
  return guarded([&] { database_->set_examined(executable, binary); });
}

Result<KnownErrors> Index::known_errors() {
  return guarded([&] { return database_->known_errors(); });
}

Result<void> Index::refresh(const std::stop_token& stop) {
  return guarded([&] { database_->refresh(stop); });
}

Result<void> Index::refresh(const IndexFilter& filter, const std::stop_token& stop) {
  return guarded([&] { database_->refresh(filter, stop); });
}

std::vector<std::string> Index::take_doubts() {
  return std::exchange(database_->doubts, {});
}

Result<void> Index::find_misleading(const IndexFilter& filter, const std::stop_token& stop) {
  return guarded([&] { database_->find_misleading(filter, stop); });
}

Result<std::vector<std::string>> Index::remove_misleading() {
  return guarded([&] { return database_->remove_misleading(); });
}

Result<std::vector<std::string>> Index::names_of(const FileStamp& source) {
  return guarded([&] { return database_->names_of(source); });
}

Result<MadeFiles> Index::made_files(const std::string& path) {
  return guarded([&] { return database_->made_files(path); });
}

Result<std::vector<WatchedRoot>> Index::roots() {
  return guarded([&] { return database_->roots(); });
}

Result<void> Index::add_root(const WatchedRoot& root) {
  return guarded([&] { database_->add_root(root); });
}

Result<void> Index::renew_root(const WatchedRoot& root) {
  return guarded([&] { database_->renew_root(root); });
}

Result<void> Index::remove_root(const std::string& path) {
  return guarded([&] { database_->remove_root(path); });
}

Result<CleanedOrphans> Index::clean_orphans(const IndexFilter& filter, CleanMode mode) {
  return guarded([&] { return database_->clean_orphans(filter, mode); });
}

Result<void> Index::forget(std::span<const std::string> pycs) {
  return guarded([&] { database_->forget(pycs); });
}

Result<std::vector<IndexEntry>> Index::list_part(const IndexFilter& filter, const std::string& after,
                                                 std::size_t count) {
  return guarded([&] { return database_->list_part(filter, after, count); });
}

Result<void> Index::list(const IndexFilter& filter, const std::function<void(const IndexEntry&)>& visit) {
  return guarded([&] { database_->list(filter, visit); });
}

}  // namespace kiln
