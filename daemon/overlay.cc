#include "daemon/overlay.h"

#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "common/marshal.h"
#include "common/overlay.h"
#include "common/paths.h"
#include "common/pyc.h"
#include "daemon/background.h"
#include "daemon/caught.h"
#include "daemon/pyc_file.h"
#include "daemon/source_text.h"
#include "daemon/temporary_file.h"

namespace kiln {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxPending = 64;
constexpr std::size_t kMaxRefused = 16'384;
constexpr std::uint64_t kMaxOptimize = 2;
constexpr auto kTemporaryAge = std::chrono::minutes(1);  // daemon/pyc_file.h

// Whether FILE begins with HEADER and holds a whole module.
bool is_good(const std::string& file, const std::string& header, std::uint32_t magic) {
  std::ifstream in(file, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (!bytes.starts_with(header) || bytes.size() == header.size()) return false;
  return is_whole_code(std::string_view(bytes).substr(header.size()), magic);
}

}  // namespace

struct Overlay::Work {
  explicit Work(const OverlayWish& wanted) : wish(wanted), worker(wish.interpreter, CompileLimits{}) {
    worker.keep_every_warning();
  }

  const OverlayWish& wish;
  CompileWorker worker;
  std::vector<FileResult> done;
};

Overlay::Overlay(std::string dir, IndexThread& index)
    : dir_(std::move(dir)), index_(index), cancel_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  asio::post(thread_, enter_background);
}

Overlay::~Overlay() {
  stop();
  join();
}

void Overlay::stop() {
  stopped_ = true;
  ::eventfd_write(cancel_.get(), 1);
}

void Overlay::join() {
  thread_.join();
}

void Overlay::fill(OverlayWish wish) {
  if (stopped_ || wish.sources.optimize > kMaxOptimize || pending_ >= kMaxPending) return;
  ++pending_;
  asio::post(thread_, [this, wish = std::move(wish)] {
    work(wish);
    --pending_;
  });
}

void Overlay::work(const OverlayWish& wish) {
  Work work(wish);
  const auto done = caught([&] { return fill_all(work); });
  if (!done && done.error().reason != Reason::shutting_down) {
    spdlog::warn("cannot fill the overlay: {}", done.error().message);
  }
  if (work.done.empty()) return;
  spdlog::info("overlay: {} sources for {}", work.done.size(), wish.interpreter.executable);
  index_.record(wish.interpreter, static_cast<int>(wish.sources.optimize), std::move(work.done));
}

Result<void> Overlay::fill_all(Work& work) {
  TRY(open_private_dir(dir_));
  for (const std::string& source : work.wish.sources.paths) {
    if (stopped_) break;
    TRY_VOID(fill_one(work, source));
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
  const auto written = write_pyc(file.pyc, *header, compiled.code, text->mode, file.umask);
  if (!written) return Error{Reason::system, written.error().message, {}};
  file.pyc_stamp = *written;
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

namespace {

// A file without a source, one that a kill left half written, or a directory with nothing in it.
bool is_orphan(const std::string& dir, const fs::directory_entry& entry) {
  std::error_code failed;
  if (entry.is_directory(failed)) return fs::is_empty(entry.path(), failed) && !failed;
  const std::string name = entry.path().filename();
  if (name.starts_with(kTemporaryPrefix)) {
    return entry.last_write_time(failed) < fs::file_time_type::clock::now() - kTemporaryAge && !failed;
  }
  const std::string source = overlaid_source(dir, entry.path().string());
  const auto status = fs::status(source, failed);
  return !source.empty() && status.type() == fs::file_type::not_found;
}

std::size_t remove_orphans_below(const std::string& root, const fs::path& dir) {
  std::size_t removed = 0;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(dir, failed)) {
    const bool is_dir = entry.is_directory(failed) && !entry.is_symlink(failed);
    if (is_dir) removed += remove_orphans_below(root, entry.path());
    if (is_orphan(root, entry) && fs::remove(entry.path(), failed) && !is_dir) ++removed;
  }
  return removed;
}

}  // namespace

std::size_t remove_overlay_orphans(const std::string& dir) {
  return remove_orphans_below(dir, dir);
}

}  // namespace kiln
