#include "daemon/overlay_sweep.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <utility>

#include "common/overlay.h"
#include "common/path_text.h"
#include "daemon/store_object.h"
#include "daemon/temporary_file.h"

namespace kiln {

namespace fs = std::filesystem;

namespace {

constexpr std::time_t kTemporaryStays_s = 60;  // it is written in one go (daemon/pyc_file.h)

std::int64_t in_ns(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

bool is_gone(const std::string& source) {
  struct stat status {};
  return ::stat(source.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

bool is_within(const std::string& path, const std::string& top) {
  return path == top || top == "/" || path.starts_with(top + "/");
}

}  // namespace

Result<void> OverlaySweep::scan(const std::stop_token& stop) {
  std::error_code failed;
  fs::recursive_directory_iterator entry(directory_, fs::directory_options::skip_permission_denied, failed);
  if (failed == std::errc::no_such_file_or_directory) return {};
  while (!failed && entry != fs::recursive_directory_iterator() && !stop.stop_requested()) {
    look_at(entry->path());
    entry.increment(failed);  // a directory may be removed meanwhile
  }
  if (failed && failed != std::errc::no_such_file_or_directory) {
    return Error{Reason::system, "cannot read " + directory_ + ": " + failed.message(), {}};
  }
  return {};
}

void OverlaySweep::look_at(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  const std::uint64_t bytes = disk_bytes(static_cast<std::uint64_t>(status.st_size));
  const bool is_temporary = name_of(path).starts_with(kTemporaryPrefix);
  if (is_temporary && status.st_mtim.tv_sec < std::time(nullptr) - kTemporaryStays_s) {
    if (::unlink(path.c_str()) == 0) usage_.removed_bytes += bytes;
  } else if (!overlaid_source(directory_, path).empty()) {
    files_.push_back({std::max(in_ns(status.st_atim), in_ns(status.st_mtim)), bytes, path});
    ++usage_.files;
    usage_.bytes += bytes;
  }
}

bool OverlaySweep::is_orphan(const File& file, const std::vector<std::string>& sources) const {
  const std::string source = overlaid_source(directory_, file.path);
  const auto holds = [&](const std::string& top) { return is_within(source, top); };
  return (sources.empty() || std::ranges::any_of(sources, holds)) && is_gone(source);
}

std::vector<std::string> OverlaySweep::orphans(const std::vector<std::string>& sources,
                                               const std::stop_token& stop) const {
  std::vector<std::string> found;
  for (const File& file : files_) {
    if (stop.stop_requested()) break;
    if (is_orphan(file, sources)) found.push_back(file.path);
  }
  return found;
}

void OverlaySweep::remove_orphans(const std::vector<std::string>& sources, const std::stop_token& stop) {
  for (File& file : files_) {
    if (stop.stop_requested()) return;
    if (is_orphan(file, sources)) remove(file);
  }
}

void OverlaySweep::shrink(std::uint64_t limit, const std::stop_token& stop) {
  if (usage_.bytes <= limit) return;
  const std::uint64_t target = limit / 10 * 9;
  std::ranges::sort(files_, {}, &File::used_ns);
  for (File& file : files_) {
    if (usage_.bytes <= target || stop.stop_requested()) return;
    remove(file);
  }
}

// With the directories that are empty then.
void OverlaySweep::remove(File& file) {
  if (file.gone || (::unlink(file.path.c_str()) != 0 && errno != ENOENT)) return;
  file.gone = true;
  --usage_.files;
  usage_.bytes -= file.bytes;
  ++usage_.removed_files;
  usage_.removed_bytes += file.bytes;
  removed_.push_back(file.path);
  std::string directory(directory_of(file.path));
  while (directory.size() > directory_.size() && ::rmdir(directory.c_str()) == 0) {
    directory = directory_of(directory);
  }
}

}  // namespace kiln
