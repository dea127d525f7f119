#include "daemon/overlay.h"

#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "common/marshal.h"
#include "common/overlay.h"
#include "common/paths.h"
#include "common/pyc.h"
#include "common/shell_word.h"
#include "daemon/background.h"
#include "daemon/blocking.h"
#include "daemon/caught.h"
#include "daemon/pyc_file.h"
#include "daemon/source_text.h"
#include "daemon/store_object.h"

namespace kiln {

namespace asio = boost::asio;
namespace {

constexpr std::size_t kMaxPending = 64;
constexpr std::size_t kMaxRefused = 16'384;
constexpr std::uint64_t kMaxOptimize = 2;
constexpr std::uint64_t kSweepsPerLimit = 16;
constexpr std::uint64_t kLargestPart = 4;  // a file that takes more than this part of the limit is left out

// Whether FILE is sealed, begins with HEADER and holds a whole module.
bool is_good(const std::string& file, const std::string& header, std::uint32_t magic) {
  std::ifstream in(file, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const auto sealed = unseal_overlay_file(bytes, magic);
  if (!sealed || !sealed->starts_with(header) || sealed->size() == header.size()) return false;
  return is_whole_code(sealed->substr(header.size()), magic);
}

}  // namespace

struct Overlay::Work {
  explicit Work(const OverlayWish& wanted) : wish(wanted), worker(wish.interpreter, CompileLimits{}) {
    worker.keep_every_warning();
  }

  const OverlayWish& wish;
  CompileWorker worker;
  std::vector<FileResult> done;     // not recorded yet
  std::uint64_t written_bytes = 0;  // of these
};

Overlay::Overlay(std::string dir, std::uint64_t limit, IndexThread& index)
    : dir_(std::move(dir)), limit_(limit), index_(index), cancel_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  asio::post(thread_, enter_background);
}

Overlay::~Overlay() {
  stop();
  join();
}

void Overlay::stop() {
  stopped_ = true;
  sweeping_.request_stop();
  ::eventfd_write(cancel_.get(), 1);
}

void Overlay::join() {
  thread_.join();
  sweeper_.join();  // which the other one gives work
}

void Overlay::fill(OverlayWish wish) {
  if (stopped_ || limit_ == 0 || wish.sources.optimize > kMaxOptimize || pending_ >= kMaxPending) return;
  ++pending_;
  asio::post(thread_, [this, wish = std::move(wish)] {
    work(wish);
    --pending_;
  });
}

Result<void> Overlay::drain() {
  const auto failure = asio::post(thread_, asio::use_future([this] { return failure_; })).get();
  if (!failure || limit_ == 0) return {};
  return *failure;
}

void Overlay::work(const OverlayWish& wish) {
  Work work(wish);
  const auto done = caught([&] { return fill_all(work); });
  failure_.reset();
  if (!done && done.error().reason != Reason::shutting_down) {
    failure_ =
        Error{done.error().reason, "cannot fill the overlay: " + done.error().message, done.error().hint};
    spdlog::warn("{}", failure_->message);
  }
  keep(work);
}

Result<void> Overlay::open_dir() const {
  const auto opened = open_private_dir(dir_, "KILN_CACHE_DIR");
  if (opened) return {};
  Error error = opened.error();
  struct stat status {};
  const bool is_in_the_way = ::lstat(dir_.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
  if (is_in_the_way) error.hint = move_aside(dir_);
  return error;
}

// The index first: what a sweep removes must leave it, and not come in afterwards.
void Overlay::keep(Work& work) {
  const OverlayWish& wish = work.wish;
  if (work.done.empty()) return;
  spdlog::info("overlay: {} sources for {}", work.done.size(), wish.interpreter.executable);
  index_.record(wish.interpreter, static_cast<int>(wish.sources.optimize), std::exchange(work.done, {}));
  count_written(std::exchange(work.written_bytes, 0));
}

Result<void> Overlay::fill_all(Work& work) {
  TRY_VOID(open_dir());
  for (const std::string& source : work.wish.sources.paths) {
    if (stopped_) break;
    TRY_VOID(fill_one(work, source));
    if (work.written_bytes >= limit_ / kSweepsPerLimit) keep(work);
  }
  return {};
}

// An Error means that going on makes no sense.
Result<void> Overlay::fill_one(Work& work, const std::string& source) {
  const InterpreterInfo& interpreter = work.wish.interpreter;
  const int optimize = static_cast<int>(work.wish.sources.optimize);
  FileResult file;
  file.source = source;
  file.umask = static_cast<std::uint32_t>(work.wish.sources.umask & 0777);
  file.pyc = overlay_path(dir_, cache_from_source(source, interpreter.cache_tag, optimize));
  if (file.pyc.empty()) return {};
  auto text = read_source(source);
  if (!text) return {};
  file.source_stamp = text->stamp;
  const auto header = overlay_header(text->bytes, interpreter.magic);
  if (!header || is_refused(file) || is_good(file.pyc, *header, interpreter.magic)) return {};
  const CompileRequest request{std::move(text->bytes), source, optimize};
  const Compiled compiled = TRY(work.worker.compile(request, cancel_.get()));
  if (compiled.error || !compiled.warnings.empty()) {
    refuse(file);
    if (!compiled.error) return {};
    file.error = compiled.error;
    file.outcome = FileOutcome::error;
    work.done.push_back(std::move(file));
    return {};
  }
  const std::string sealed = seal_overlay_file(*header + compiled.code, interpreter.magic);
  if (disk_bytes(sealed.size()) > limit_ / kLargestPart) {
    refuse(file);
    return {};
  }
  const auto body = std::string_view(sealed).substr(header->size());
  const auto written = write_pyc(file.pyc, *header, body, text->mode, file.umask);
  if (!written) return Error{Reason::system, written.error().message, "kiln doctor"};
  file.pyc_stamp = *written;
  work.written_bytes += disk_bytes(written->size);
  file.outcome = FileOutcome::compiled;
  work.done.push_back(std::move(file));
  return {};
}

bool Overlay::is_refused(const FileResult& file) const {
  const auto found = refused_.find(file.pyc);
  return found != refused_.end() && found->second == file.source_stamp;
}

void Overlay::refuse(const FileResult& file) {
  if (refused_.size() >= kMaxRefused) refused_.clear();
  refused_[file.pyc] = file.source_stamp;
}

Result<OverlayUsage> Overlay::sweep_here(const std::function<void(OverlaySweep&)>& remove) {
  OverlaySweep sweep(dir_);
  written_ = 0;
  TRY_VOID(sweep.scan(sweeping_.get_token()));
  remove(sweep);
  bytes_ = sweep.usage().bytes;
  counted_ = true;
  if (!sweep.removed().empty()) {
    spdlog::info("overlay: removed {} files; {} files, {} bytes are left", sweep.usage().removed_files,
                 sweep.usage().files, sweep.usage().bytes);
    index_.forget(sweep.removed());
  }
  return sweep.usage();
}

asio::awaitable<Result<OverlayUsage>> Overlay::gc() {
  return run_blocking(sweeper_, [this] {
    return sweep_here([this](OverlaySweep& sweep) {
      sweep.remove_orphans({}, sweeping_.get_token());
      sweep.shrink(limit_, sweeping_.get_token());
    });
  });
}

asio::awaitable<Result<std::vector<std::string>>> Overlay::remove_orphans(std::vector<std::string> sources,
                                                                          CleanMode mode) {
  return run_blocking(sweeper_,
                      [this, sources = std::move(sources), mode]() -> Result<std::vector<std::string>> {
                        std::vector<std::string> removed;
                        TRY_VOID(sweep_here([&](OverlaySweep& sweep) {
                          const auto stop = sweeping_.get_token();
                          if (mode == CleanMode::dry_run) return void(removed = sweep.orphans(sources, stop));
                          sweep.remove_orphans(sources, stop);
                          removed = sweep.removed();
                        }));
                        return removed;
                      });
}

asio::awaitable<Result<std::uint64_t>> Overlay::bytes() {
  return run_blocking(sweeper_, [this]() -> Result<std::uint64_t> {
    if (!counted_) TRY_VOID(sweep_here([](OverlaySweep&) {}));
    return bytes_.load();
  });
}

// Orphans stay: the tree may be on a disk that is not there at this moment.
void Overlay::shrink() {
  asio::post(sweeper_, [this] {
    const auto done = caught([this] {
      return sweep_here([this](OverlaySweep& sweep) { sweep.shrink(limit_, sweeping_.get_token()); });
    });
    if (!done) spdlog::error("cannot shrink the overlay: {}", done.error().message);
  });
}

void Overlay::count_written(std::uint64_t bytes) {
  bytes_ += bytes;
  written_ += bytes;
  if (written_ < limit_ / kSweepsPerLimit) return;
  written_ = 0;
  shrink();
}

}  // namespace kiln
