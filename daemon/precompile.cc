#include "daemon/precompile.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "common/pyc.h"
#include "daemon/caught.h"
#include "daemon/freshness.h"
#include "daemon/pyc_file.h"
#include "daemon/source_walk.h"

namespace kiln {
namespace {

constexpr std::size_t kMaxSourceBytes = 256U << 20;
// A source that changes faster than it can be read this often is left to the next time.
constexpr int kReadAttempts = 5;
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

struct SourceText {
  std::string bytes;
  FileStamp stamp;
  mode_t mode = 0;
};

using ReadResult = boost::system::result<SourceText, CompileError>;

// All of FD, as many bytes as there are now. 0 or errno.
int read_whole(int fd, std::size_t expected, std::string& bytes) {
  bytes.resize(expected + 1);  // one more, to see the end without another call
  std::size_t filled = 0;
  for (;;) {
    const ssize_t size = ::read(fd, bytes.data() + filled, bytes.size() - filled);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno;
    filled += static_cast<std::size_t>(size);
    if (size == 0 || filled == bytes.size()) break;
  }
  bytes.resize(filled);
  return 0;
}

// Reads PATH once. Nothing if it changed meanwhile.
boost::system::result<std::optional<SourceText>, CompileError> try_read_source(const std::string& path) {
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat before {};
  struct stat after {};
  if (!fd || ::fstat(fd.get(), &before) != 0) return system_error(errno);
  if (!S_ISREG(before.st_mode)) return CompileError{"OSError", "not a regular file"};
  if (static_cast<std::size_t>(before.st_size) > kMaxSourceBytes) {
    return CompileError{"OSError", "source of more than 256 MiB"};
  }
  SourceText text;
  if (const int error = read_whole(fd.get(), static_cast<std::size_t>(before.st_size), text.bytes);
      error != 0) {
    return system_error(error);
  }
  // By path: an editor's rename puts another file there.
  if (::stat(path.c_str(), &after) != 0) return system_error(errno);
  text.stamp = stamp_of(before);
  text.mode = before.st_mode;
  if (stamp_of(after) != text.stamp || text.bytes.size() != text.stamp.size)
    return std::optional<SourceText>{};
  return std::optional(std::move(text));
}

ReadResult read_source(const std::string& path) {
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    auto text = try_read_source(path);
    if (!text) return text.error();
    if (*text) return std::move(**text);
  }
  return CompileError{"OSError", "the file changes faster than it can be read"};
}

class Precompilation {
 public:
  Precompilation(const proto::PrecompileRequest& request, const InterpreterInfo& interpreter,
                 const CompileLimits& limits, const PrecompileSink& sink, const std::stop_token& stop)
      : request_(request), interpreter_(interpreter), limits_(limits), sink_(sink), cancel_(stop) {}

  Precompiled run() {
    const auto start = std::chrono::steady_clock::now();
    if (check()) {
      find_sources();
      judge_sources();
      compile_stale();
    }
    const auto elapsed = std::chrono::steady_clock::now() - start;
    summarize(std::chrono::duration_cast<std::chrono::microseconds>(elapsed));
    return std::move(done_);
  }

 private:
  // Whether this request can be served at all; else failure_ says why not.
  bool check() {
    if (interpreter_.major < 3 || (interpreter_.major == 3 && interpreter_.minor < 7)) {
      failure_ = "Python " + interpreter_.version + " is not served; 3.7 and later are";
    } else if (interpreter_.cache_tag.empty()) {
      failure_ = interpreter_.executable + " keeps no bytecode files: it has no cache tag";
    } else if (request_.optimize() < 0 || request_.optimize() > 2) {
      failure_ = "no such optimization level: " + std::to_string(request_.optimize());
    }
    return failure_.empty();
  }

  void find_sources() {
    SourceList list;
    for (const auto& target : request_.targets()) {
      walk_sources(
          target.path(), target.spelling(), [this] { return cancel_.raised(); }, list);
    }
    for (const auto& [spelling, error] : list.errors) report_error(spelling, error);
    std::unordered_set<std::string> seen;  // targets may overlap
    for (auto& file : list.files) {
      if (seen.insert(file.path).second) sources_.push_back(std::move(file));
    }
  }

  // Sets aside what is fresh. Workers are started as soon as there is work for them: an interpreter takes
  // longer to start than this takes for a thousand files.
  void judge_sources() {
    done_.files.reserve(sources_.size());
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      done_.files.push_back(judge(sources_[i]));
      if (done_.files.back().outcome == FileOutcome::fresh) continue;
      stale_.push_back(i);
      add_worker();
    }
    const auto size = [this](std::size_t i) { return sources_[i].stamp.size; };
    std::stable_sort(stale_.begin(), stale_.end(), [&](auto a, auto b) { return size(a) > size(b); });
  }

  FileResult judge(const SourceFile& source) {
    FileResult result;
    result.source = source.path;
    result.source_stamp = source.stamp;
    result.pyc = cache_from_source(source.path, interpreter_.cache_tag, request_.optimize(),
                                   request_.pycache_prefix());
    if (request_.force()) return result;
    const auto check = check_pyc(result.pyc, interpreter_.magic, source.stamp);
    if (check.freshness != Freshness::fresh) return result;
    result.outcome = FileOutcome::fresh;
    result.pyc_stamp = check.stamp;
    return result;
  }

  void add_worker() {
    if (workers_.size() >= jobs() || !failure_.empty()) return;
    workers_.push_back(std::make_unique<CompileWorker>(interpreter_, limits_));
    if (auto started = workers_.back()->start(); !started) fail(started.error());
  }

  unsigned jobs() const {
    const unsigned wanted = request_.jobs() != 0 ? request_.jobs() : std::thread::hardware_concurrency();
    return std::clamp(wanted, 1U, kMaxJobs);
  }

  void compile_stale() {
    std::vector<std::jthread> threads;
    threads.reserve(workers_.size());
    for (auto& worker : workers_) threads.emplace_back([this, &worker] { run_thread(*worker); });
  }

  void run_thread(CompileWorker& worker) {
    const auto done = caught([&] { return serve(worker); });
    if (!done) fail(done.error());
  }

  Result<void> serve(CompileWorker& worker) {
    while (!cancel_.raised()) {
      const std::size_t turn = next_.fetch_add(1);
      if (turn >= stale_.size()) break;
      compile_one(worker, stale_[turn]);
      report_progress();
    }
    return {};
  }

  void compile_one(CompileWorker& worker, std::size_t index) {
    auto& result = done_.files[index];  // no other thread touches it
    auto source = read_source(result.source);
    if (!source) return settle(index, source.error());
    result.source_stamp = source->stamp;
    auto compiled = worker.compile({std::move(source->bytes), sources_[index].spelling, request_.optimize()},
                                   cancel_.fd());
    if (!compiled) return fail(compiled.error());
    if (!compiled->warnings.empty()) report_warning(compiled->warnings);
    if (compiled->error) return settle(index, *compiled->error);
    const auto header =
        timestamp_header(interpreter_.magic, source->stamp.python_mtime_s(), source->stamp.size);
    const auto written =
        write_pyc(result.pyc, encode_pyc_header(header), compiled->code, source->mode, request_.umask());
    if (!written) return settle(index, written.error());
    result.pyc_stamp = *written;
    result.outcome = FileOutcome::compiled;
  }

  // The file has failed.
  void settle(std::size_t index, const CompileError& error) {
    done_.files[index].outcome = FileOutcome::error;
    done_.files[index].error = error;
    report_error(sources_[index].spelling, error);
  }

  // The request as a whole has failed.
  void fail(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (failure_.empty() && error.reason != Reason::shutting_down) failure_ = error.message;
    cancel_.raise();
  }

  void report_error(const std::string& spelling, const CompileError& error) {
    proto::PrecompileEvent event;
    auto& said = *event.mutable_error();
    said.set_path(spelling);
    said.set_line(error.line);
    said.set_column(error.column);
    said.set_type(error.type);
    said.set_message(error.message);
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

  void summarize(std::chrono::microseconds elapsed) {
    const auto count = [this](FileOutcome outcome) {
      return std::count_if(done_.files.begin(), done_.files.end(),
                           [&](auto& file) { return file.outcome == outcome; });
    };
    if (failure_.empty() && cancel_.raised()) failure_ = "cancelled";
    auto& summary = done_.summary;
    summary.set_compiled(count(FileOutcome::compiled));
    summary.set_fresh(count(FileOutcome::fresh));
    summary.set_errors(errors_);
    summary.set_elapsed_us(elapsed.count());
    summary.set_failure(failure_);
    proto::PrecompileEvent event;
    *event.mutable_summary() = summary;
    sink_(event);
  }

  const proto::PrecompileRequest& request_;
  const InterpreterInfo& interpreter_;
  const CompileLimits limits_;
  const PrecompileSink& sink_;
  Cancel cancel_;

  std::vector<SourceFile> sources_;
  std::vector<std::size_t> stale_;  // indexes into sources_ and done_.files, largest first
  std::vector<std::unique_ptr<CompileWorker>> workers_;
  std::atomic<std::size_t> next_{0};  // into stale_
  Precompiled done_;

  std::mutex mutex_;  // for what follows, and the sink
  std::string failure_;
  std::uint64_t errors_ = 0;
  std::uint64_t progress_ = 0;
};

}  // namespace

Precompiled precompile(const proto::PrecompileRequest& request, const InterpreterInfo& interpreter,
                       const CompileLimits& limits, const PrecompileSink& sink, const std::stop_token& stop) {
  return Precompilation(request, interpreter, limits, sink, stop).run();
}

}  // namespace kiln
