#include "daemon/index_thread.h"

#include <malloc.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <ctime>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "common/file_stamp.h"
#include "common/imported_sources.h"
#include "common/pyc.h"
#include "daemon/blocking.h"
#include "daemon/freshness.h"
#include "daemon/source_text.h"
#include "daemon/source_walk.h"
#include "daemon/write_gate.h"

namespace kiln {

namespace asio = boost::asio;

namespace {

// What so many results have taken is worth giving back to the system (malloc_trim(3)).
constexpr std::size_t kManyFiles = 10'000;

}  // namespace

Result<Index*> IndexThread::index() {
  if (!index_) {
    index_.emplace(TRY(Index::open(path_, overlay_)));
    if (const auto& former = index_->set_aside())
      spdlog::warn("the index was unusable; it is now {}", *former);
  }
  return &*index_;
}

Result<Index*> IndexThread::refreshed_index() {
  Index* index = TRY(this->index());
  TRY_VOID(refresh_.refresh(*index, stop_.get_token()));
  tell_doubts(*index);
  return index;
}

void IndexThread::tell_doubts(Index& index) {
  auto doubts = index.take_doubts();
  if (!doubts.empty() && on_doubt) on_doubt(std::move(doubts));
}

Result<void> IndexThread::find_misleading(Index& index) {
  TRY_VOID(refresh_.find_misleading(index, stop_.get_token()));
  tell_doubts(index);
  return {};
}

Result<CleanedOrphans> IndexThread::clean_orphans_here(const std::vector<IndexFilter>& filters,
                                                       CleanMode mode) {
  Index* index = TRY(refreshed_index());
  CleanedOrphans all;
  for (const auto& filter : filters) {
    const CleanedOrphans done = TRY(index->clean_orphans(filter, mode));
    all.removed.insert(all.removed.end(), done.removed.begin(), done.removed.end());
    all.kept.insert(all.kept.end(), done.kept.begin(), done.kept.end());
    all.foreign.insert(all.foreign.end(), done.foreign.begin(), done.foreign.end());
  }
  return all;
}

asio::awaitable<Result<void>> IndexThread::refresh() {
  return run_blocking(thread_, [this]() -> Result<void> {
    TRY(refreshed_index());
    return {};
  });
}

asio::awaitable<Result<void>> IndexThread::settle() {
  return run_blocking(thread_, [this]() -> Result<void> {
    Index* index = TRY(this->index());
    write_gate().wait_for_all_inside();
    TRY_VOID(find_misleading(*index));
    for (const auto& pyc : TRY(index->remove_misleading())) spdlog::debug("removed, for it is old: {}", pyc);
    return {};
  });
}

asio::awaitable<Result<void>> IndexThread::wait_for_writes() {
  return run_blocking(thread_, []() -> Result<void> {
    write_gate().wait_for_all_inside();
    return {};
  });
}

// Nothing is removed: it may be about to be made anew, or removed by whoever has changed it.
void IndexThread::prepare_to_settle() {
  if (is_preparing_.exchange(true)) return;
  write_behind([this](Index& index) {
    is_preparing_ = false;
    return find_misleading(index);
  });
}

asio::awaitable<Result<std::vector<IndexEntry>>> IndexThread::list_part(IndexFilter filter, std::string after,
                                                                        std::size_t count) {
  return run_blocking(thread_,
                      [this, filter = std::move(filter), after = std::move(after),
                       count]() -> Result<std::vector<IndexEntry>> {
                        Index* index = TRY(this->index());
                        TRY_VOID(refresh_.refresh_recorded(*index, stop_.get_token()));
                        return index->list_part(filter, after, count);
                      });
}

asio::awaitable<Result<CleanedOrphans>> IndexThread::clean_orphans(std::vector<IndexFilter> filters,
                                                                   CleanMode mode) {
  return run_blocking(
      thread_, [this, filters = std::move(filters), mode] { return clean_orphans_here(filters, mode); });
}

Result<IndexSummary> IndexThread::summarize_here() {
  Index* index = TRY(refreshed_index());
  IndexSummary summary;
  summary.counts = TRY(index->counts());
  summary.interpreters = TRY(index->interpreters());
  return summary;
}

asio::awaitable<Result<IndexSummary>> IndexThread::summarize() {
  return run_blocking(thread_, [this] { return summarize_here(); });
}

asio::awaitable<Result<std::string>> IndexThread::find_damage() {
  return run_blocking(thread_, [this]() -> Result<std::string> {
    Index* index = TRY(this->index());
    return index->find_damage();
  });
}

void IndexThread::look_for_damage() {
  asio::post(thread_, [this] {
    if (!index_) return;  // nobody has needed it yet
    const auto found = index_->find_damage();
    const std::string damage = found ? *found : found.error().message;
    if (damage != std::exchange(damage_, damage) && !damage.empty())
      spdlog::error("the index is damaged: {}", damage);
  });
}

// A directory that is gone is not worth a watch.
Result<std::vector<std::string>> IndexThread::imported_modules_here(std::size_t count) {
  Index* index = TRY(this->index());
  auto modules = TRY(index->imported_modules(count));
  std::erase_if(modules, [](const std::string& module) { return stamp_of(module) == FileStamp{}; });
  return modules;
}

asio::awaitable<Result<std::vector<std::string>>> IndexThread::imported_modules(std::size_t count) {
  return run_blocking(thread_, [this, count] { return imported_modules_here(count); });
}

asio::awaitable<Result<std::vector<EntryPoint>>> IndexThread::most_used(std::size_t count) {
  write_times();
  return run_blocking(thread_, [this, count]() -> Result<std::vector<EntryPoint>> {
    Index* index = TRY(this->index());
    return index->most_used(count);
  });
}

Result<KnownFile> IndexThread::known_file_here(const std::string& path) {
  Index* index = TRY(this->index());
  const auto recorded = TRY(index->source_of(path));
  const auto by_name = path.ends_with(".pyc") ? source_from_cache(path) : std::nullopt;
  KnownFile file;
  file.source = recorded ? *recorded : by_name.value_or(path);
  TRY_VOID(index->list({{}, file.source, {}}, [&](const IndexEntry& entry) {
    if (entry.source != file.source) return;  // PATH is a directory
    if (!recorded || entry.pyc == path) file.entries.push_back(entry);
  }));
  file.interpreters = TRY(index->interpreters());
  file.importers = TRY(index->importers(file.source));
  file.runs = TRY(index->runs_of(file.source));
  return file;
}

asio::awaitable<Result<KnownFile>> IndexThread::known_file(std::string path) {
  write_times();
  return run_blocking(thread_, [this, path = std::move(path)] { return known_file_here(path); });
}

asio::awaitable<Result<std::vector<WatchedRoot>>> IndexThread::roots() {
  return run_blocking(thread_, [this]() -> Result<std::vector<WatchedRoot>> {
    Index* index = TRY(this->index());
    return index->roots();
  });
}

asio::awaitable<Result<void>> IndexThread::add_root(WatchedRoot root) {
  return run_blocking(thread_, [this, root = std::move(root)]() -> Result<void> {
    Index* index = TRY(this->index());
    return index->add_root(root);
  });
}

asio::awaitable<Result<void>> IndexThread::remove_root(std::string path) {
  return run_blocking(thread_, [this, path = std::move(path)]() -> Result<void> {
    Index* index = TRY(this->index());
    return index->remove_root(path);
  });
}

template <class Function>
void IndexThread::write_behind(Function change) {
  asio::post(thread_, [this, change = std::move(change)] {
    const auto done = caught([&]() -> Result<void> {
      Index* index = TRY(this->index());
      return change(*index);
    });
    if (!done) spdlog::error("cannot write the index: {}", done.error().message);
  });
}

void IndexThread::renew_root(WatchedRoot root) {
  write_behind([root = std::move(root)](Index& index) { return index.renew_root(root); });
}

void IndexThread::record(InterpreterInfo interpreter, int optimize, std::vector<FileResult> files) {
  const bool is_many = files.size() >= kManyFiles;
  write_behind(
      [this, interpreter = std::move(interpreter), optimize, files = std::move(files)](Index& index) {
        refresh_.note(files);
        return index.record(interpreter, optimize, files);
      });
  if (is_many) asio::post(thread_, [] { ::malloc_trim(0); });
}

namespace {

// Nothing: not a module with bytecode of its own.
std::optional<FileResult> imported_file(const std::string& opened, const InterpreterInfo& interpreter,
                                        const UncachedSources& of_run) {
  const bool is_bytecode = opened.ends_with(".pyc");
  const auto source = is_bytecode ? source_from_cache(opened) : std::optional(opened);
  if (!source || !source->starts_with('/')) return std::nullopt;
  FileResult file;
  file.source = *source;
  file.pyc = is_bytecode
                 ? opened
                 : cache_from_source(*source, interpreter.cache_tag, static_cast<int>(of_run.optimize));
  file.source_stamp = stamp_of(file.source);
  file.pyc_stamp = stamp_of(file.pyc);
  if (file.source_stamp == FileStamp{} || file.pyc_stamp == FileStamp{}) return std::nullopt;
  file.outcome = FileOutcome::fresh;
  file.umask = static_cast<std::uint32_t>(of_run.umask & 0777);
  return file;
}

bool is_fresh(const FileResult& file, std::uint32_t magic) {
  const auto hash = [&] { return source_hash_of(file.source, magic); };
  return check_pyc(file.pyc, {magic, file.source_stamp, {}, hash}).freshness == Freshness::fresh;
}

// A run may leave old bytecode behind: its source did not compile, or it was not to write any. What the index
// has about such a file, an error above all, is better than what we know; where it has nothing, the file gets
// an entry of no source that there is, so that the next look finds it stale.
Result<void> keep_what_holds(std::map<std::string, FileResult>& files, std::uint32_t magic, Index& index) {
  for (auto at = files.begin(); at != files.end();) {
    auto& [pyc, file] = *at;
    const auto known = TRY(index.source_of(pyc));
    const bool fresh = is_fresh(file, magic);
    if (!fresh) file.source_stamp = {};
    at = known && !fresh ? files.erase(at) : std::next(at);
  }
  return {};
}

// One file should have one name in the index, however sys.path spells it.
std::vector<std::string> imported_modules_of(const RunRecord& run) {
  auto modules = imported_sources(run.imported);
  for (auto& module : modules) module = clean_path(module);
  return modules;
}

}  // namespace

void IndexThread::record_run(InterpreterInfo interpreter, RunRecord run, std::int64_t ended_ns) {
  if (run.uncached.optimize > 2) return;
  write_behind([this, interpreter = std::move(interpreter), run = std::move(run),
                ended_ns](Index& index) -> Result<void> {
    std::map<std::string, FileResult> files;  // by bytecode: what is compiled anew is opened as both
    for (const auto& opened : run.imported) {
      auto file = imported_file(opened, interpreter, run.uncached);
      if (file) files.insert_or_assign(file->pyc, std::move(*file));
    }
    TRY_VOID(keep_what_holds(files, interpreter.magic, index));
    std::vector<FileResult> results;
    for (auto& [pyc, file] : files) results.push_back(std::move(file));
    refresh_.note(results);
    const auto modules = imported_modules_of(run);
    const EndedRun ended{run.entry, run.imports_hash, ended_ns};
    return index.record_run(interpreter, static_cast<int>(run.uncached.optimize), results, ended, modules);
  });
}

void IndexThread::record_start(InterpreterInfo interpreter, std::vector<std::string> bytecode) {
  constexpr std::uint64_t kUsualMask = 022;  // whose start that was is not known
  write_behind([this, interpreter = std::move(interpreter),
                bytecode = std::move(bytecode)](Index& index) -> Result<void> {
    std::map<std::string, FileResult> files;
    for (const auto& pyc : bytecode) {
      auto file = imported_file(pyc, interpreter, {{}, kUsualMask, 0});
      if (file) files.insert_or_assign(pyc, std::move(*file));
    }
    TRY_VOID(keep_what_holds(files, interpreter.magic, index));
    std::vector<FileResult> results;
    for (auto& [pyc, file] : files) results.push_back(std::move(file));
    refresh_.note(results);
    return index.record(interpreter, 0, results);
  });
}

void IndexThread::record_time(const std::string& executable, const EndedRun& run) {
  if (run_times_.note(executable, run)) write_times();
}

void IndexThread::write_times() {
  auto runs = run_times_.take();
  if (runs.empty()) return;
  write_behind([runs = std::move(runs)](Index& index) { return index.record_times(runs); });
}

void IndexThread::add_counts(CountsByReason counts, std::int64_t now_s) {
  write_behind([counts = std::move(counts), now_s](Index& index) { return index.add_counts(counts, now_s); });
}

void IndexThread::add_work(WorkCounts work) {
  if (work.empty()) return;
  write_behind([work = std::move(work)](Index& index) { return index.add_work(work); });
}

asio::awaitable<Result<KeptCounts>> IndexThread::take_counts(bool reset) {
  return run_blocking(thread_, [this, reset]() -> Result<KeptCounts> {
    Index* index = TRY(this->index());
    return index->take_counts(reset, std::time(nullptr));
  });
}

void IndexThread::forget(std::vector<std::string> pycs) {
  write_behind([pycs = std::move(pycs)](Index& index) { return index.forget(pycs); });
}

void IndexThread::set_examined(std::string executable, BinaryIdentity binary) {
  write_behind([executable = std::move(executable), binary = std::move(binary)](Index& index) {
    return index.set_examined(executable, binary);
  });
}

// The answer, or an empty one.
template <class Function>
auto IndexThread::wait_for(Function question) -> typename std::invoke_result_t<Function, Index&>::value_type {
  using Answer = std::invoke_result_t<Function, Index&>;
  const auto ask = [&] {
    return caught([&]() -> Answer {
      Index* index = TRY(this->index());
      return question(*index);
    });
  };
  auto answer = asio::post(thread_, asio::use_future(ask)).get();
  if (answer) return std::move(*answer);
  spdlog::error("cannot read the index: {}", answer.error().message);
  return {};
}

KnownErrors IndexThread::known_errors() {
  return wait_for([](Index& index) { return index.known_errors(); });
}

MadeFiles IndexThread::made_files(const std::string& path) {
  return wait_for([&path](Index& index) { return index.made_files(path); });
}

std::vector<std::string> IndexThread::changed_interpreters() {
  return wait_for([](Index& index) { return index.changed_interpreters(); });
}

std::vector<IndexEntry> IndexThread::entries(const IndexFilter& filter) {
  return wait_for([&filter](Index& index) -> Result<std::vector<IndexEntry>> {
    std::vector<IndexEntry> found;
    TRY_VOID(index.list(filter, [&](const IndexEntry& entry) { found.push_back(entry); }));
    return found;
  });
}

Result<std::vector<IndexEntry>> IndexThread::unsettled_here(IndexFilter filter) {
  Index* index = TRY(this->index());
  TRY_VOID(index->refresh(filter, stop_.get_token()));
  index->take_doubts();  // who asks is who would be told
  std::vector<IndexEntry> found;
  for (const auto state : {EntryState::stale, EntryState::error}) {
    filter.state = state;
    TRY_VOID(index->list(filter, [&](const IndexEntry& entry) { found.push_back(entry); }));
  }
  return found;
}

namespace {

// The names in INDEX of those among SOURCES that have several; they themselves are not among them.
Result<std::set<std::string>> other_names(Index& index, const std::set<std::string>& sources) {
  std::set<std::string> others;
  for (const auto& source : sources) {
    struct stat status {};
    const bool is_linked =
        ::stat(source.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink > 1;
    if (!is_linked) continue;
    for (auto& name : TRY(index.names_of(stamp_of(status)))) {
      if (!sources.contains(name)) others.insert(std::move(name));
    }
  }
  return others;
}

}  // namespace

std::vector<IndexEntry> IndexThread::unsettled(IndexFilter filter) {
  return wait_for([this, &filter](Index& index) -> Result<std::vector<IndexEntry>> {
    auto found = TRY(unsettled_here(filter));
    std::set<std::string> sources{filter.path};
    for (const auto& entry : found) sources.insert(entry.source);
    for (const auto& name : TRY(other_names(index, sources))) {
      for (auto& entry : TRY(unsettled_here({.path = name}))) found.push_back(std::move(entry));
    }
    return found;
  });
}

void IndexThread::close() {
  stop_.request_stop();
  write_times();
  thread_.join();
  index_.reset();
}

}  // namespace kiln
