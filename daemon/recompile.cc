#include "daemon/recompile.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <span>
#include <utility>

#include "common/embedded_filename.h"
#include "common/magic.h"
#include "common/overlay.h"
#include "common/path_text.h"
#include "common/pyc.h"
#include "daemon/background.h"
#include "daemon/bytecode_place.h"
#include "daemon/caught.h"
#include "daemon/source_text.h"
#include "daemon/source_walk.h"

namespace kiln {
namespace {

using Group = RecompileGroup;
using Target = proto::PrecompileRequest::Target;

constexpr std::size_t kMaxSources = 65'536;  // remembered one by one
constexpr int kFilesAtOnce = 32;             // after which somebody else may go first
constexpr std::chrono::seconds kWorkersIdle{60};

// A bytecode file as it is now; empty if it cannot be read.
std::string read_pyc(const std::string& pyc) {
  auto file = read_source(pyc);
  return file ? std::move(file->bytes) : std::string();
}

// What a bytecode file says of how it was made.
struct Origin {
  PycKind kind = PycKind::timestamp;
  std::string filename;  // empty: it cannot be told
};

Origin origin_of(const std::string& pyc) {
  const std::string bytes = read_pyc(pyc);
  const auto header = parse_pyc_header(bytes);
  if (!header) return {};
  const auto body = std::string_view(bytes).substr(pyc_header_size(header->magic));
  const auto filename = find_filename(body, header->magic);
  return {header->kind, filename ? filename->name : std::string()};
}

bool is_file(const std::string& path) {
  std::error_code failed;
  return std::filesystem::is_regular_file(path, failed);
}

// Where no tag tells them apart, one version's file is in the other's place.
bool is_of_another_version(const std::string& pyc, const InterpreterInfo& interpreter) {
  const auto header = parse_pyc_header(read_pyc(pyc));
  const auto format = header ? bytecode_format(header->magic) : std::nullopt;
  return format && format->version != PythonVersion{interpreter.major, interpreter.minor};
}

bool is_shared_between_versions(const BytecodePlace& place, const InterpreterInfo& interpreter) {
  return place.legacy || !has_pycache(interpreter);
}

// Where INTERPRETER has the bytecode that the entry was of another version. Nothing: nothing is to be made
// there.
std::optional<BytecodePlace> place_for(const IndexEntry& entry, const InterpreterInfo& interpreter,
                                       const std::string& overlay) {
  // It could not be written when somebody asked for it, and is not there: that was theirs to ask.
  if (entry.error && !is_of_source(*entry.error) && !is_file(entry.pyc)) return std::nullopt;
  auto place = place_of(entry.pyc, entry.source, entry.magic, overlay);
  if (!place || !is_file(entry.source)) return std::nullopt;
  const std::string pyc = bytecode_path(*place, interpreter, entry.source, entry.optimize);
  if (is_shared_between_versions(*place, interpreter) && is_of_another_version(pyc, interpreter)) {
    return std::nullopt;
  }
  // The overlay's entry of a main script: Python keeps none in the tree, so nor do we.
  const bool overlaid = !overlay.empty() && entry.pyc.starts_with(overlay + "/");
  if (overlaid && !is_unwritable(pyc)) return std::nullopt;
  if (!may_write_unasked(pyc, ::geteuid())) return std::nullopt;
  return place;
}

proto::PrecompileRequest request_for(const InterpreterInfo& interpreter, const Group& group) {
  proto::PrecompileRequest request;
  request.add_python(interpreter.path);
  request.add_optimize(group.optimize);
  request.set_umask(group.umask);
  request.set_pycache_prefix(group.place.prefix);
  request.set_legacy(group.place.legacy);
  request.set_jobs(1);
  if (group.kind == PycKind::checked_hash) request.set_invalidation(proto::PrecompileRequest::CHECKED_HASH);
  if (group.kind == PycKind::unchecked_hash) {
    request.set_invalidation(proto::PrecompileRequest::UNCHECKED_HASH);
  }
  return request;
}

// What has bytecode already keeps its kind; what has none yet gets that of the other version's.
std::map<Group, std::vector<Target>> grouped(const InterpreterInfo& interpreter,
                                             const std::vector<IndexEntry>& entries,
                                             const std::string& overlay) {
  std::map<Group, std::vector<Target>> groups;
  std::set<std::string> seen;  // by the file that is to be looked at
  for (const IndexEntry& entry : entries) {
    const auto place = place_for(entry, interpreter, overlay);
    if (!place) continue;
    const std::string pyc = bytecode_path(*place, interpreter, entry.source, entry.optimize);
    if (!seen.insert(pyc).second) continue;
    const bool present = is_file(pyc);
    const Origin origin = origin_of(present ? pyc : entry.pyc);
    Target target;
    target.set_path(entry.source);
    target.set_spelling(origin.filename.empty() ? entry.source : origin.filename);
    const bool keeps_kind = present || !has_hash_based(interpreter);
    const PycKind kind = keeps_kind ? PycKind::timestamp : origin.kind;
    groups[{entry.optimize, *place, entry.umask, kind}].push_back(std::move(target));
  }
  return groups;
}

// --- Policy `all`

std::vector<std::string> sources_in(const std::string& directory) {
  std::vector<std::string> sources;
  std::error_code failed;
  std::filesystem::directory_iterator at(directory, failed);
  for (const std::filesystem::directory_iterator end; !failed && at != end; at.increment(failed)) {
    if (at->path().extension() == ".py" && is_file(at->path())) sources.push_back(at->path());
  }
  std::ranges::sort(sources);
  return sources;
}

std::vector<std::string> sources_below(const std::string& tree, const std::stop_token& stop) {
  SourceList list;
  walk_sources(
      {tree, tree}, {}, [&stop] { return stop.stop_requested(); }, list);
  std::vector<std::string> sources;
  for (auto& file : list.files) sources.push_back(std::move(file.path));
  return sources;
}

// The Python files that are meant by PATH; it may be gone.
std::vector<std::string> sources_at(const std::string& path, Recompiler::Extent extent,
                                    const std::stop_token& stop) {
  if (extent == Recompiler::Extent::directory) return sources_in(path);
  if (extent == Recompiler::Extent::tree && !is_file(path)) return sources_below(path, stop);
  const bool is_source = path.ends_with(".py") && is_file(path);
  return is_source ? std::vector{path} : std::vector<std::string>();
}

std::vector<Target> targets_of(const std::vector<std::string>& sources, const InterpreterInfo& interpreter) {
  std::vector<Target> targets;
  for (const auto& source : sources) {
    if (!may_write_unasked(bytecode_path({}, interpreter, source, 0), ::geteuid())) continue;
    targets.emplace_back();
    targets.back().set_path(source);
    targets.back().set_spelling(source);
  }
  return targets;
}

}  // namespace

Recompiler::Recompiler(IndexThread& index, WriteBehindStore& store, Overlay& overlay,
                       PrecompileService& requested, Watcher* watcher)
    : index_(index),
      store_(store),
      overlay_(overlay),
      requested_(requested),
      watcher_(watcher),
      thread_([this] { run(); }) {}

Recompiler::~Recompiler() {
  stop();
  join();
}

void Recompiler::stop() {
  stop_.request_stop();
}

void Recompiler::join() {
  if (thread_.joinable()) thread_.join();
}

void Recompiler::look_at_interpreters() {
  const std::lock_guard lock(mutex_);
  pending_.interpreters = true;
  changed_.notify_all();
}

void Recompiler::look_at(Changes changes) {
  const std::lock_guard lock(mutex_);
  const auto add = [&](std::vector<std::string>& paths, Extent extent) {
    for (auto& path : paths) {
      const auto [at, is_new] = pending_.sources.try_emplace(std::move(path), extent);
      at->second = std::max(at->second, extent);
    }
  };
  add(changes.files, Extent::file);
  add(changes.directories, Extent::directory);
  add(changes.trees, Extent::tree);
  if (pending_.sources.size() > kMaxSources) pending_.sources = {{"/", Extent::tree}};
  changed_.notify_all();
}

void Recompiler::set_roots(WatchedRoots roots) {
  const std::lock_guard lock(mutex_);
  for (const auto& [path, root] : roots_) {
    if (roots.at(path) != nullptr) continue;
    std::erase_if(pending_.sources, [&root, &roots](const auto& source) {
      return root.holds(source.first) && !roots.may_hold(source.first);
    });
    if (working_) unwatched_.push_back(root);
  }
  roots_ = std::move(roots);
}

void Recompiler::set_listener(RecompileListener listener) {
  const std::lock_guard lock(mutex_);
  listener_ = std::move(listener);
}

void Recompiler::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop_.get_token(), [this] { return pending_.empty() && !working_; });
}

void Recompiler::run() {
  enter_background();
  std::unique_lock lock(mutex_);
  while (wait_for_work(lock)) {
    const Pending pending = std::exchange(pending_, {});
    working_ = true;
    lock.unlock();
    const auto done = caught([&]() -> Result<void> {
      work(pending);
      return {};
    });
    if (!done) spdlog::error("cannot recompile: {}", done.error().message);
    lock.lock();
    working_ = false;
    unwatched_.clear();
    changed_.notify_all();
  }
}

// Meanwhile lets go of workers that nobody has wanted for a while. False: it was stopped.
bool Recompiler::wait_for_work(std::unique_lock<std::mutex>& lock) {
  const auto is_there = [this] { return !pending_.empty(); };
  if (compilers_.idle() > 0 && !changed_.wait_for(lock, stop_.get_token(), kWorkersIdle, is_there)) {
    lock.unlock();  // each waits for a process
    compilers_.end_idle_since(CompilerPool::Clock::now());
    lock.lock();
  }
  return changed_.wait(lock, stop_.get_token(), is_there) && !stop_.stop_requested();
}

void Recompiler::work(const Pending& pending) {
  if (pending.interpreters) examine_changed_interpreters();
  examine_sources(pending);
}

void Recompiler::examine_changed_interpreters() {
  for (const auto& executable : index_.changed_interpreters()) {
    if (stop_.stop_requested()) return;
    examine_interpreter(executable);
  }
}

// What did not compile is tried again: another compiler may do it.
void Recompiler::examine_interpreter(const std::string& executable) {
  const auto interpreter = identify(executable);
  if (!interpreter) return;
  index_.record(*interpreter, 0, {});
  const auto entries = index_.entries({.state = {}, .path = {}, .executable = executable});
  spdlog::info("{} is Python {} by now: {} entries are looked at", executable, interpreter->version,
               entries.size());
  KnownErrors none;  // of the binary that was there before
  if (recompile(*interpreter, entries, none)) index_.set_examined(executable, interpreter->binary);
}

void Recompiler::examine_sources(const Pending& pending) {
  if (pending.sources.empty()) return;
  auto known_errors = index_.known_errors();
  for (const auto& [path, extent] : pending.sources) {
    const bool done = examine_entries(path, extent, known_errors) && examine_kept(path, extent, known_errors);
    if (!done) return;
  }
}

// False: it was stopped.
bool Recompiler::examine_entries(const std::string& path, Extent extent, KnownErrors& known_errors) {
  IndexFilter filter{.state = {}, .path = path == "/" ? "" : path, .executable = {}};
  filter.direct = extent == Extent::directory;
  std::map<std::string, std::vector<IndexEntry>> by_interpreter;
  for (auto& entry : index_.unsettled(filter)) by_interpreter[entry.executable].push_back(std::move(entry));
  for (const auto& [executable, entries] : by_interpreter) {
    const auto interpreter = identify(executable);
    if (interpreter && !recompile(*interpreter, entries, known_errors)) return false;
  }
  return !stop_.stop_requested();
}

// What the policy `all` wants of it. False: it was stopped.
bool Recompiler::examine_kept(const std::string& path, Extent extent, KnownErrors& known_errors) {
  const auto roots = [this] {
    const std::lock_guard lock(mutex_);
    return roots_;
  }();
  if (!roots.may_keep_all(path)) return true;
  std::map<const WatchedRoot*, std::vector<std::string>> wanted;
  for (auto& source : sources_at(path, extent, stop_.get_token())) {
    const WatchedRoot* const root = roots.covering(source);
    if (root != nullptr && root->keeps_all()) wanted[root].push_back(std::move(source));
  }
  const MadeFiles made_files = index_.made_files(path == "/" ? "" : path);
  for (const auto& [root, sources] : wanted) {
    for (const auto& python : root->pythons) {
      const auto interpreter = identify(python);
      if (!interpreter) continue;
      const Group group{.umask = root->umask};
      const auto targets = targets_of(sources, *interpreter);
      if (!recompile(*interpreter, group, targets, known_errors, made_files)) return false;
    }
  }
  return !stop_.stop_requested();
}

// Under the name that it has in the index. One that cannot say who it is is not asked again before it
// changes.
Result<InterpreterInfo> Recompiler::identify(const std::string& executable) {
  const BinaryIdentity binary = TRY(identify_binary(executable));
  const auto unusable = unusable_.find(executable);
  if (unusable != unusable_.end() && unusable->second == binary) {
    return Error{Reason::interpreter, executable + " is no Python interpreter", {}};
  }
  auto interpreter = interpreters_.at(executable);
  const auto now = TRY(identify_binary(executable));
  if (now != binary) {  // it was moved while it was asked
    look_at_interpreters();
    return Error{Reason::interpreter, executable + " has become another file", {}};
  }
  if (!interpreter) {
    spdlog::warn("{}", interpreter.error().message);
    unusable_[executable] = binary;
    return interpreter;
  }
  interpreter->path = interpreter->executable = executable;
  interpreter->binary = binary;
  return interpreter;
}

// False: it was stopped before all was done.
bool Recompiler::recompile(const InterpreterInfo& interpreter, const std::vector<IndexEntry>& entries,
                           KnownErrors& known_errors) {
  MadeFiles made_files;
  for (const auto& entry : entries) made_files[entry.pyc] = entry.made;
  for (const auto& [group, targets] : grouped(interpreter, entries, overlay_.dir())) {
    if (!recompile(interpreter, group, targets, known_errors, made_files)) return false;
  }
  return !stop_.stop_requested();
}

bool Recompiler::recompile(const InterpreterInfo& interpreter, const Group& group,
                           const std::vector<Target>& targets, KnownErrors& known_errors,
                           const MadeFiles& made_files) {
  auto request = request_for(interpreter, group);
  for (const Target& target : targets) {
    *request.add_targets() = target;
    if (request.targets_size() < kFilesAtOnce) continue;
    if (!recompile(interpreter, request, known_errors, made_files)) return false;
    request.clear_targets();
  }
  return request.targets_size() == 0 || recompile(interpreter, request, known_errors, made_files);
}

bool Recompiler::recompile(const InterpreterInfo& interpreter, const proto::PrecompileRequest& request,
                           KnownErrors& known_errors, const MadeFiles& made_files) {
  requested_.wait_until_idle();
  const PrecompileServices services{
      compilers_,   store_,     overlay_.dir(),
      known_errors, made_files, [this](const std::string& pyc) { return may_write(pyc); }};
  const auto nobody = [](const proto::PrecompileEvent&) {};
  auto done = precompile(request, std::span(&interpreter, 1), services, nobody, stop_.get_token());
  const auto& summary = done.summary;
  if (!summary.failure().empty()) spdlog::warn("not recompiled: {}", summary.failure());
  if (summary.compiled() + summary.restored() + summary.errors() > 0) {
    spdlog::info("recompiled for {}: compiled {}, restored {}, errors {}", interpreter.executable,
                 summary.compiled(), summary.restored(), summary.errors());
    requested_.forget_known_errors();
  }
  for (const auto& batch : done.batches) {
    tell(batch, known_errors);
    remember_errors(batch, known_errors);
    index_.add_work(work_counts(WorkOf::background, batch.files));
  }
  for (auto& batch : done.batches) keep_results(std::move(batch), request.umask(), index_, overlay_);
  return !stop_.stop_requested();
}

// Where somebody removes bytecode, perhaps with all around it, there is to be no new one: it is looked at
// again when that is over.
bool Recompiler::may_write(const std::string& pyc) {
  if (is_unwatched(pyc)) return false;
  if (watcher_ == nullptr || !watcher_->is_being_removed(pyc)) return true;
  watcher_->hint(pyc);
  return false;
}

bool Recompiler::is_unwatched(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto holds = [&path](const WatchedRoot& root) { return root.holds(path); };
  return std::ranges::any_of(unwatched_, holds) && !roots_.may_hold(path);
}

// An error that was told before is none to tell.
void Recompiler::tell(const PrecompiledBatch& batch, const KnownErrors& known_errors) {
  const auto listener = [this] {
    const std::lock_guard lock(mutex_);
    return listener_;
  }();
  if (!listener) return;
  for (const auto& file : batch.files) {
    const auto known = known_errors.find(file.pyc);
    const bool was_error = known != known_errors.end();
    const bool is_made = file.outcome == FileOutcome::compiled || file.outcome == FileOutcome::restored;
    const bool is_news = file.error && !(was_error && known->second.is_of(file.source_stamp));
    if (is_made || is_news) listener({file, batch.interpreter, batch.optimize, is_made && was_error});
  }
}

}  // namespace kiln
