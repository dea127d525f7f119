#include "daemon/precompile.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "common/overlay.h"
#include "common/path_text.h"
#include "common/pyc.h"
#include "common/source_hash.h"
#include "daemon/bytecode_maker.h"
#include "daemon/bytecode_place.h"
#include "daemon/caught.h"
#include "daemon/freshness.h"
#include "daemon/pyc_file.h"
#include "daemon/source_text.h"
#include "daemon/source_walk.h"
#include "daemon/write_gate.h"

namespace kiln {
namespace {

constexpr int kMostTries = 3;  // of a source that is edited while it is compiled
constexpr std::uint64_t kProgressSteps = 100;

// A descriptor that becomes readable once somebody wants the end, so that a poll can wait for that, too.
class Cancel {
 public:
  explicit Cancel(const std::stop_token& stop)
      : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), callback_(stop, [this] { raise(); }) {}

  void raise() {
    raised_ = true;
    ::eventfd_write(fd_.get(), 1);
  }
  bool raised() const { return raised_; }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  std::atomic<bool> raised_{false};
  std::stop_callback<std::function<void()>> callback_;
};

// The mode that is asked for; nothing: whatever a file is of.
std::optional<PycKind> wanted_kind(const proto::PrecompileRequest& request) {
  switch (request.invalidation()) {
    case proto::PrecompileRequest::TIMESTAMP:
      return PycKind::timestamp;
    case proto::PrecompileRequest::CHECKED_HASH:
      return PycKind::checked_hash;
    case proto::PrecompileRequest::UNCHECKED_HASH:
      return PycKind::unchecked_hash;
    default:
      return std::nullopt;
  }
}

// One bytecode file to be made.
struct Task {
  std::size_t batch = 0;
  std::size_t source = 0;  // index into the sources, and into the batch's files
  PycKind kind = PycKind::timestamp;
};

class Precompilation {
 public:
  Precompilation(const proto::PrecompileRequest& request, std::span<const InterpreterInfo> interpreters,
                 const PrecompileServices& services, const PrecompileSink& sink, const std::stop_token& stop)
      : request_(request),
        interpreters_(interpreters),
        services_(services),
        sink_(sink),
        kind_(wanted_kind(request)),
        cancel_(stop) {}

  Precompiled run() {
    const auto start = std::chrono::steady_clock::now();
    failure_ = objection();
    if (!failure_.empty()) {
      failure_reason_ = Reason::interpreter;  // for which the client knows the hint
    } else {
      find_sources();
      lay_out_batches();
      in_parallel(sources_.size(), [this](std::size_t source) { judge_source(source); });
      if (!request_.check()) make_stale();
    }
    const auto elapsed = std::chrono::steady_clock::now() - start;
    summarize(std::chrono::duration_cast<std::chrono::microseconds>(elapsed));
    return std::move(done_);
  }

 private:
  // Why this request cannot be served at all; empty: it can.
  std::string objection() const {
    if (interpreters_.empty() || request_.optimize().empty()) return "no interpreter, or no level";
    for (const int level : request_.optimize()) {
      if (level < 0 || level > 2) return "no such optimization level: " + std::to_string(level);
    }
    for (const auto& interpreter : interpreters_) {
      if (auto problem = objection_to(interpreter); !problem.empty()) return problem;
    }
    return {};
  }

  std::string objection_to(const InterpreterInfo& interpreter) const {
    const bool old = interpreter.major < 3 || (interpreter.major == 3 && interpreter.minor < 6);
    if (old && !(interpreter.major == 2 && interpreter.minor == 7)) {
      return "Python " + interpreter.version + " is not served; 2.7, 3.6 and later are";
    }
    if (has_pycache(interpreter) && interpreter.cache_tag.empty()) {
      return interpreter.executable + " keeps no bytecode files: it has no cache tag";
    }
    const bool is_hash_based = kind_.value_or(PycKind::timestamp) != PycKind::timestamp;
    if (!has_hash_based(interpreter) && is_hash_based && !request_.may_fall_back()) {
      return "Python " + interpreter.version + " knows no hash-based bytecode; 3.7 and later do";
    }
    if (!has_pycache(interpreter) && wants_level(1) && wants_level(2)) {
      return "Python " + interpreter.version +
             " has one file, NAME.pyo, for the levels 1 and 2: give one of them";
    }
    return {};
  }

  // As py_compile of that interpreter would have it.
  std::optional<PycKind> kind_for(const InterpreterInfo& interpreter) const {
    return has_hash_based(interpreter) ? kind_ : std::nullopt;
  }

  bool wants_level(int level) const {
    return std::ranges::find(request_.optimize(), level) != request_.optimize().end();
  }

  void find_sources() {
    SourceList list;
    for (const auto& target : request_.targets()) {
      std::vector<std::string> exclude(request_.exclude().begin(), request_.exclude().end());
      exclude.insert(exclude.end(), target.exclude().begin(), target.exclude().end());
      walk_sources(
          {target.path(), target.spelling()}, exclude, [this] { return cancel_.raised(); }, list);
    }
    for (const auto& [spelling, error] : list.errors) report_error(spelling, error, {}, {});
    std::unordered_set<std::string> seen;  // targets may overlap
    for (auto& file : list.files) {
      if (seen.insert(file.path).second) sources_.push_back(std::move(file));
    }
    for (const auto& [name, count] : list.left_out) {
      done_.summary.add_left_out(name);
      done_.summary.set_left_out_count(done_.summary.left_out_count() + count);
    }
  }

  void lay_out_batches() {
    std::set<std::pair<std::string, int>> seen;
    for (const auto& interpreter : interpreters_) {
      for (const int level : request_.optimize()) {
        if (!seen.emplace(interpreter.executable, level).second) continue;
        done_.batches.push_back({interpreter, level, std::vector<FileResult>(sources_.size())});
      }
    }
  }

  void judge_source(std::size_t source) {
    for (std::size_t batch = 0; batch < done_.batches.size(); ++batch) {
      auto task = judge(batch, source);
      if (task) add_task(*task);
    }
  }

  std::string place(const PrecompiledBatch& batch, const std::string& source) const {
    return bytecode_path({request_.pycache_prefix(), request_.legacy()}, batch.interpreter, source,
                         batch.optimize);
  }

  // Empty: there is none for it. Bytecode that is asked for in other places has none.
  std::string place_in_overlay(const std::string& pyc) const {
    const bool served = !services_.overlay.empty() && request_.pycache_prefix().empty();
    return served ? overlay_path(services_.overlay, pyc) : std::string();
  }

  // What is to be made, if anything.
  std::optional<Task> judge(std::size_t batch_index, std::size_t source_index) {
    auto& batch = done_.batches[batch_index];
    const auto& source = sources_[source_index];
    auto& result = batch.files[source_index];
    result.source = source.path;
    result.source_stamp = source.stamp;
    result.pyc = place(batch, source.path);
    result.umask = request_.umask();
    const auto check = look_at(batch, source, result);
    leave_unsettled(result);
    if (check.freshness == Freshness::fresh && !request_.force()) {
      result.outcome = FileOutcome::fresh;
      result.pyc_stamp = check.stamp;
      return std::nullopt;
    }
    if (settle_known(batch, source_index)) return std::nullopt;
    if (request_.check()) report_stale(source, result.pyc, check.freshness);
    const auto kind = kind_for(batch.interpreter);
    return Task{batch_index, source_index, kind.value_or(check.kind.value_or(PycKind::timestamp))};
  }

  // The file in its place, or else the overlay's.
  PycCheck look_at(const PrecompiledBatch& batch, const SourceFile& source, FileResult& result) {
    PycQuestion question{batch.interpreter.magic, source.stamp, kind_for(batch.interpreter),
                         [&] { return source_hash_of(source.path, batch.interpreter.magic); }};
    question.made = made_file(result.pyc);
    question.source_content = [&] { return content_of(source.path); };
    auto check = check_pyc(result.pyc, question);
    prove_by_code(batch, source, check, result);
    if (check.freshness == Freshness::fresh) return check;
    question.made = nullptr;
    const auto overlaid = place_in_overlay(result.pyc);
    if (overlaid.empty() || !is_unwritable_here(result.pyc)) return check;
    question.sealed = true;
    const auto second = check_pyc(overlaid, question);
    if (second.freshness != Freshness::fresh) return check;
    result.pyc = overlaid;
    ++overlaid_;
    return second;
  }

  // As is_unwritable(), asked once of each directory.
  bool is_unwritable_here(const std::string& pyc) {
    const std::lock_guard lock(directories_mutex_);
    const auto [found, is_new] = unwritable_.try_emplace(std::string(directory_of(pyc)), false);
    if (is_new) found->second = is_unwritable(pyc);
    return found->second;
  }

  // A change within the same tick of the clock would have the same time.
  static void leave_unsettled(FileResult& result) {
    if (!is_settled(result.source_stamp)) result.source_stamp.changed_ns = 0;
  }

  const MadeFile* made_file(const std::string& pyc) const {
    const auto found = services_.made_files.find(pyc);
    return found != services_.made_files.end() ? &found->second : nullptr;
  }

  // Where header and times do not tell: a source that may have changed behind Python's back, and bytecode
  // that was written over since we made it. What is proved once is known from then on.
  void prove_by_code(const PrecompiledBatch& batch, const SourceFile& source, PycCheck& check,
                     FileResult& result) {
    if (check.freshness != Freshness::doubtful) return;
    const auto* made = made_file(result.pyc);
    const bool tampered = made != nullptr && made->was_tampered_with(check.stamp, source.stamp);
    const auto text = read_source(source.path);
    const auto file = read_source(result.pyc);
    if (!text || !file) return;
    const BytecodeWish wish{batch.interpreter, batch.optimize, source.spelling};
    const auto body = std::string_view(file->bytes).substr(pyc_header_size(batch.interpreter.magic));
    const auto wanted = make_bytecode(wish, text->bytes, services_.compilers, services_.store, cancel_.fd());
    const bool proved = wanted && is_stored_code(body, wish, text->bytes, services_.store);
    check.freshness = proved ? Freshness::fresh : tampered ? Freshness::body : Freshness::changed;
    if (!proved) return;
    result.source_stamp = text->stamp;
    result.source_content = wanted->source_content;
  }

  // A file that did not compile is not tried again until it changes.
  bool settle_known(PrecompiledBatch& batch, std::size_t source) {
    const auto& result = batch.files[source];
    const auto known = services_.known_errors.find(result.pyc);
    if (request_.force() || known == services_.known_errors.end()) return false;
    const auto& error = known->second;
    if (error.magic != batch.interpreter.magic || !error.is_of(result.source_stamp)) return false;
    settle({static_cast<std::size_t>(&batch - done_.batches.data()), source, {}}, error.error);
    return true;
  }

  void add_task(const Task& task) {
    const std::lock_guard lock(mutex_);
    stale_.push_back(task);
  }

  void make_stale() {
    // By the source's place as well: which thread judged it first must not matter.
    std::sort(stale_.begin(), stale_.end(), [this](const Task& a, const Task& b) {
      const auto size_a = sources_[a.source].stamp.size;
      const auto size_b = sources_[b.source].stamp.size;
      return size_a != size_b ? size_a > size_b : std::pair(a.source, a.batch) < std::pair(b.source, b.batch);
    });
    in_parallel(stale_.size(), [this](std::size_t turn) {
      const auto start = std::chrono::steady_clock::now();
      const Task& task = stale_[turn];
      const auto startup = make(task);
      const auto elapsed = std::chrono::steady_clock::now() - start - startup;
      done_.batches[task.batch].files[task.source].elapsed_us =
          static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count());
      report_progress();
    });
  }

  unsigned jobs() const {
    const unsigned wanted = request_.jobs() != 0 ? request_.jobs() : std::thread::hardware_concurrency();
    return std::clamp(wanted, 1U, kMaxJobs);
  }

  // Calls DO_ONE with 0 to COUNT - 1; whoever is free takes the next.
  template <class Function>
  void in_parallel(std::size_t count, Function do_one) {
    std::atomic<std::size_t> next{0};
    const auto work = [&]() -> Result<void> {
      for (std::size_t turn = next++; turn < count && !cancel_.raised(); turn = next++) do_one(turn);
      return {};
    };
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min<std::size_t>(jobs(), count); ++i) {
      threads.emplace_back([&] {
        if (const auto done = caught(work); !done) fail(done.error());
      });
    }
  }

  // Returns what it took to start an interpreter for it, which is none of the file's cost.
  std::chrono::microseconds make(const Task& task) {
    auto& batch = done_.batches[task.batch];
    auto& result = batch.files[task.source];  // no other thread touches it
    const bool to_overlay = !place_in_overlay(result.pyc).empty() && is_unwritable_here(result.pyc);
    const BytecodeWish wish{batch.interpreter, batch.optimize, sources_[task.source].spelling,
                            request_.force()};
    // What was edited meanwhile is made again: written then, the bytecode would be newer than an edit that it
    // does not have.
    for (int tries = 0;; ++tries) {
      const auto source = read_source(result.source);
      if (!source) {
        settle(task, source.error());
        return {};
      }
      auto made = make_bytecode(wish, source->bytes, services_.compilers, services_.store, cancel_.fd());
      if (!made) {
        fail(made.error());
        return {};
      }
      std::optional<WriteResult> written;
      {
        const auto writing = write_gate().enter();
        if (tries < kMostTries && stamp_of(result.source) != source->stamp) continue;
        if (!made->compiled.error && !to_overlay) written = write(task, *source, made->compiled.code);
      }
      keep(task, *source, *made, to_overlay, written);
      return made->compiled.startup;
    }
  }

  void keep(const Task& task, const SourceText& source, const MadeBytecode& made, bool to_overlay,
            const std::optional<WriteResult>& written) {
    auto& result = done_.batches[task.batch].files[task.source];
    result.source_stamp = source.stamp;
    leave_unsettled(result);
    result.warnings = made.compiled.warnings;
    result.source_content = made.source_content;
    if (!result.warnings.empty())
      report_warning(name_file_in(result.warnings, sources_[task.source].spelling));
    if (made.compiled.error) return settle(task, *made.compiled.error);
    if (to_overlay) return leave_to_overlay(task);
    if (!written) return;  // it is skipped
    if (!*written) return settle(task, written->error());
    result.pyc_stamp = **written;
    result.outcome = made.restored ? FileOutcome::restored : FileOutcome::compiled;
  }

  std::string header_of(const Task& task, const SourceText& source) const {
    const std::uint32_t magic = done_.batches[task.batch].interpreter.magic;
    if (task.kind == PycKind::timestamp) {
      return encode_pyc_header(timestamp_header(magic, source.stamp.python_mtime_s(), source.stamp.size));
    }
    PycHeader header;
    header.magic = magic;
    header.kind = task.kind;
    header.source_hash = kiln::source_hash(source.bytes, magic).value_or(0);
    return encode_pyc_header(header);
  }

  // Nothing: it is not to be.
  std::optional<WriteResult> write(const Task& task, const SourceText& source, const std::string& code) {
    const auto& result = done_.batches[task.batch].files[task.source];
    const auto& may_write = services_.may_write;
    // Looked at before it is asked: of what was removed by then is told, and what is removed later stays so.
    const bool had_place = ::access(std::string(directory_of(result.pyc)).c_str(), F_OK) == 0;
    if (may_write && !may_write(result.pyc)) return std::nullopt;
    auto written = write_pyc(result.pyc, header_of(task, source), code, source.mode, request_.umask(),
                             !may_write || !had_place);
    if (!written && may_write && !may_write(result.pyc)) return std::nullopt;
    return written;
  }

  // Which compiles it by rules of its own: what warns, be it unseen, has no place there.
  void leave_to_overlay(const Task& task) {
    auto& batch = done_.batches[task.batch];
    const std::lock_guard lock(mutex_);
    batch.uncached.push_back(sources_[task.source].path);
  }

  // The file has failed.
  void settle(const Task& task, const CompileError& error) {
    auto& batch = done_.batches[task.batch];
    batch.files[task.source].outcome = FileOutcome::error;
    batch.files[task.source].error = error;
    const auto& interpreter = batch.interpreter;
    const auto& tag = interpreter.cache_tag.empty() ? interpreter.version : interpreter.cache_tag;
    report_error(sources_[task.source].spelling, error, tag, batch.files[task.source].pyc);
  }

  // The request as a whole has failed.
  void fail(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (failure_.empty() && error.reason != Reason::shutting_down) {
      failure_ = error.message;
      failure_reason_ = error.reason;
      failure_hint_ = error.hint;
    }
    cancel_.raise();
  }

  void report_error(const std::string& spelling, const CompileError& error, const std::string& tag,
                    const std::string& pyc) {
    proto::PrecompileEvent event;
    auto& said = *event.mutable_error();
    said.set_path(spelling);
    said.set_line(error.line);
    said.set_column(error.column);
    said.set_type(error.type);
    said.set_message(error.message);
    said.set_pyc(pyc);
    // Where there is but one interpreter, there is no other to be told from.
    if (interpreters_.size() > 1) said.set_tag(tag);
    const std::lock_guard lock(mutex_);
    ++errors_;
    sink_(event);
  }

  void report_warning(const std::string& text) {
    proto::PrecompileEvent event;
    event.mutable_warning()->set_text(text);
    const std::lock_guard lock(mutex_);
    sink_(event);
  }

  void report_stale(const SourceFile& source, const std::string& pyc, Freshness why) {
    proto::PrecompileEvent event;
    event.mutable_stale()->set_path(source.spelling);
    event.mutable_stale()->set_pyc(pyc);
    event.mutable_stale()->set_why(std::string(word(why)));
    const std::lock_guard lock(mutex_);
    sink_(event);
  }

  void report_progress() {
    const std::lock_guard lock(mutex_);
    const std::uint64_t total = stale_.size();
    ++progress_;
    if (progress_ * kProgressSteps / total == (progress_ - 1) * kProgressSteps / total) return;
    proto::PrecompileEvent event;
    event.mutable_progress()->set_done(progress_);
    event.mutable_progress()->set_total(total);
    sink_(event);
  }

  std::uint64_t count(FileOutcome outcome) const {
    std::uint64_t sum = 0;
    for (const auto& batch : done_.batches) {
      sum += static_cast<std::uint64_t>(
          std::ranges::count(batch.files, outcome, [](const FileResult& file) { return file.outcome; }));
    }
    return sum;
  }

  void summarize(std::chrono::microseconds elapsed) {
    if (failure_.empty() && cancel_.raised()) {
      failure_ = "the daemon was stopped before all was done; what was done is kept";
      failure_reason_ = Reason::shutting_down;
    }
    auto& summary = done_.summary;
    summary.set_compiled(count(FileOutcome::compiled));
    summary.set_restored(count(FileOutcome::restored));
    summary.set_fresh(count(FileOutcome::fresh));
    summary.set_stale(request_.check() ? stale_.size() : 0);
    summary.set_overlaid(overlaid_);
    summary.set_errors(errors_);
    summary.set_elapsed_us(static_cast<std::uint64_t>(elapsed.count()));
    summary.set_failure(failure_);
    if (!failure_.empty()) summary.set_failure_reason(std::string(word(failure_reason_)));
    summary.set_failure_hint(failure_hint_);
    proto::PrecompileEvent event;
    *event.mutable_summary() = summary;
    sink_(event);
  }

  const proto::PrecompileRequest& request_;
  const std::span<const InterpreterInfo> interpreters_;
  const PrecompileServices& services_;
  const PrecompileSink& sink_;
  const std::optional<PycKind> kind_;
  Cancel cancel_;

  std::vector<SourceFile> sources_;
  Precompiled done_;
  std::atomic<std::uint64_t> overlaid_{0};

  std::mutex directories_mutex_;
  std::unordered_map<std::string, bool> unwritable_;  // by directory of bytecode

  std::mutex mutex_;  // for what follows, and the sink
  std::vector<Task> stale_;
  std::string failure_;
  Reason failure_reason_ = Reason::system;
  std::string failure_hint_;
  std::uint64_t errors_ = 0;
  std::uint64_t progress_ = 0;
};

}  // namespace

void remember_errors(const PrecompiledBatch& batch, KnownErrors& known_errors) {
  for (const auto& file : batch.files) {
    if (file.error && is_of_source(*file.error)) {
      known_errors[file.pyc] = {file.source_stamp.modified_ns, file.source_stamp.changed_ns,
                                file.source_stamp.size, batch.interpreter.magic, *file.error};
    } else if (file.outcome != FileOutcome::skipped && !known_errors.empty()) {
      known_errors.erase(file.pyc);
    }
  }
}

Precompiled precompile(const proto::PrecompileRequest& request, std::span<const InterpreterInfo> interpreters,
                       const PrecompileServices& services, const PrecompileSink& sink,
                       const std::stop_token& stop) {
  return Precompilation(request, interpreters, services, sink, stop).run();
}

}  // namespace kiln
