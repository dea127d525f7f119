#include "daemon/recompile.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <span>
#include <utility>

#include "common/embedded_filename.h"
#include "common/magic.h"
#include "common/overlay.h"
#include "common/pyc.h"
#include "daemon/background.h"
#include "daemon/bytecode_place.h"
#include "daemon/caught.h"
#include "daemon/source_text.h"

namespace kiln {
namespace {

constexpr std::size_t kMaxSources = 65'536;  // remembered one by one
constexpr int kFilesAtOnce = 32;             // after which somebody else may go first
constexpr std::chrono::seconds kWorkersIdle{60};

// Entries that one request can name.
struct Group {
  int optimize = 0;
  BytecodePlace place;
  std::uint32_t umask = 0;
  PycKind kind = PycKind::timestamp;

  auto operator<=>(const Group&) const = default;
};

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

using Target = proto::PrecompileRequest::Target;

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

}  // namespace

Recompiler::Recompiler(IndexThread& index, WriteBehindStore& store, Overlay& overlay,
                       PrecompileService& requested)
    : index_(index), store_(store), overlay_(overlay), requested_(requested), thread_([this] { run(); }) {}

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

void Recompiler::look_at_source(std::string path) {
  const std::lock_guard lock(mutex_);
  if (pending_.sources.size() >= kMaxSources) {
    pending_.everything = true;
    pending_.sources.clear();
  }
  if (!pending_.everything) pending_.sources.insert(std::move(path));
  changed_.notify_all();
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
  if (pending.everything || !pending.sources.empty()) examine_sources(pending);
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
  if (recompile(*interpreter, entries, {})) index_.set_examined(executable, interpreter->binary);
}

void Recompiler::examine_sources(const Pending& pending) {
  std::map<std::string, std::vector<IndexEntry>> by_interpreter;
  const auto add = [&](const std::string& path) {
    for (auto& entry : index_.entries({.state = {}, .path = path, .executable = {}})) {
      by_interpreter[entry.executable].push_back(std::move(entry));
    }
  };
  if (pending.everything) add({});
  for (const auto& path : pending.sources) add(path);
  const auto known_errors = index_.known_errors();
  for (const auto& [executable, entries] : by_interpreter) {
    const auto interpreter = identify(executable);
    if (interpreter && !recompile(*interpreter, entries, known_errors)) return;
  }
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
                           const KnownErrors& known_errors) {
  for (const auto& [group, targets] : grouped(interpreter, entries, overlay_.dir())) {
    auto request = request_for(interpreter, group);
    for (const Target& target : targets) {
      *request.add_targets() = target;
      if (request.targets_size() < kFilesAtOnce) continue;
      if (!recompile(interpreter, request, known_errors)) return false;
      request.clear_targets();
    }
    if (request.targets_size() > 0 && !recompile(interpreter, request, known_errors)) return false;
  }
  return !stop_.stop_requested();
}

bool Recompiler::recompile(const InterpreterInfo& interpreter, const proto::PrecompileRequest& request,
                           const KnownErrors& known_errors) {
  requested_.wait_until_idle();
  const PrecompileServices services{compilers_, store_, overlay_.dir(), known_errors, {}};
  const auto nobody = [](const proto::PrecompileEvent&) {};
  auto done = precompile(request, std::span(&interpreter, 1), services, nobody, stop_.get_token());
  const auto& summary = done.summary;
  if (!summary.failure().empty()) spdlog::warn("not recompiled: {}", summary.failure());
  if (summary.compiled() + summary.restored() + summary.errors() > 0) {
    spdlog::info("recompiled for {}: {} compiled, {} restored, {} errors", interpreter.executable,
                 summary.compiled(), summary.restored(), summary.errors());
    requested_.forget_known_errors();
  }
  for (auto& batch : done.batches) keep_results(std::move(batch), request.umask(), index_, overlay_);
  return !stop_.stop_requested();
}

}  // namespace kiln
