#include "client/cache_removal.h"

#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "common/cache_keeper.h"
#include "common/overlay.h"
#include "common/path_error.h"
#include "common/paths.h"
#include "common/printable.h"
#include "common/shell_word.h"

namespace kiln {
namespace {

constexpr std::uint64_t kBlock = 512;                    // unit of st_blocks: stat(2)
constexpr std::string_view kTemporaryPrefix = ".kiln-";  // daemon/temporary_file.h
constexpr std::size_t kObjectName = 62;  // daemon/store.h: a SHA-256 in hexadecimal, less two digits
constexpr long kForeign = 1;             // fts_number of a directory that is not Kiln's
enum Part : std::uint8_t { kIndex, kStore, kOverlay, kLogs };

struct CloseWalk {
  void operator()(FTS* walk) const { ::fts_close(walk); }
};
using Walk = std::unique_ptr<FTS, CloseWalk>;

bool is_hex(std::string_view text, std::size_t size) {
  return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Of an entry of the cache directory itself. Nothing: it is not Kiln's.
std::optional<Part> part_of(std::string_view name) {
  if (name == "store") return kStore;
  if (name == "overlay") return kOverlay;
  if (name == "index.db" || name == "index.db-wal" || name == "index.db-shm" || name == "index.db.lock")
    return kIndex;
  if (name.starts_with("index.db.set-aside")) return kIndex;
  if (name.starts_with("kilnd.") && name.ends_with("log")) return kLogs;
  return std::nullopt;
}

// The last first: the log and the index come after overlay and store.
int backwards(const FTSENT** one, const FTSENT** other) {
  return std::strcmp((*other)->fts_name, (*one)->fts_name);
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

class Removal {
 public:
  Removal(std::string dir, RemovalMode mode) : dir_(std::move(dir)), mode_(mode) {}

  Result<CacheRemoval> run() {
    char* roots[] = {dir_.data(), nullptr};
    const Walk walk(::fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, backwards));
    while (FTSENT* entry = walk ? ::fts_read(walk.get()) : nullptr) visit(walk.get(), *entry);
    if (errno != 0) return path_error("cannot read", dir_);
    return std::move(done_);
  }

 private:
  // Level 0 is the directory itself, 1 what lies in it.
  void visit(FTS* walk, FTSENT& entry) {
    if (entry.fts_level == 1 && entry.fts_info != FTS_DP) part_ = part_of(entry.fts_name);
    switch (entry.fts_info) {
      case FTS_D:
        if (entry.fts_level == 0 || is_own_directory(entry)) return;
        ::fts_set(walk, &entry, FTS_SKIP);
        entry.fts_number = kForeign;  // it comes once more, as one that is done
        done_.foreign.emplace_back(entry.fts_path);
        return;
      case FTS_DP:
        return entry.fts_number == kForeign ? void() : remove_directory(entry);
      case FTS_DNR:
      case FTS_ERR:
      case FTS_NS:
        return fail(entry.fts_path, entry.fts_errno);
      default:
        return is_own_file(entry) ? remove_file(entry) : void(done_.foreign.emplace_back(entry.fts_path));
    }
  }

  bool is_own_directory(const FTSENT& entry) const {
    if (part_ == kOverlay) return true;
    return part_ == kStore && (entry.fts_level == 1 || (entry.fts_level == 2 && is_hex(entry.fts_name, 2)));
  }

  bool is_own_file(const FTSENT& entry) const {
    if (!part_ || entry.fts_info != FTS_F) return false;
    const std::string_view name = entry.fts_name;
    if (*part_ == kIndex || *part_ == kLogs) return true;
    if (entry.fts_level > 1 && name.starts_with(kTemporaryPrefix)) return true;
    if (*part_ == kOverlay) return !overlaid_source(overlay_dir(dir_), entry.fts_path).empty();
    return entry.fts_level == 3 && is_hex(name, kObjectName);
  }

  void remove_file(const FTSENT& entry) {
    if (mode_ == RemovalMode::real && ::unlink(entry.fts_path) != 0) return fail(entry.fts_path, errno);
    ++done_.parts[*part_].files;
    done_.parts[*part_].bytes += static_cast<std::uint64_t>(entry.fts_statp->st_blocks) * kBlock;
  }

  // What is not empty holds what was named already.
  void remove_directory(const FTSENT& entry) {
    if (mode_ == RemovalMode::dry_run || ::rmdir(entry.fts_path) == 0 || errno == ENOTEMPTY) return;
    fail(entry.fts_path, errno);
  }

  void fail(const std::string& path, int error) {
    errno = error;
    done_.failures.push_back(path_error("cannot remove", path));
  }

  std::string dir_;
  const RemovalMode mode_;
  std::optional<Part> part_;  // of what is visited
  CacheRemoval done_;
};

// Its pid may be another process's here: it is not to be killed.
Error in_use(const std::string& dir, const CacheKeeper& keeper) {
  const std::string used = printable(dir) + " is used by ";
  if (keeper.pid == 0) return {Reason::already_running, used + "a daemon", "kiln doctor"};
  const bool is_elsewhere = keeper.mount_namespace != own_mount_namespace();
  return {Reason::already_running,
          used + "the daemon of " + printable(keeper.runtime_dir) + ", pid " + std::to_string(keeper.pid) +
              (is_elsewhere ? ", in another mount namespace" : ""),
          "KILN_RUNTIME_DIR=" + shell_word(keeper.runtime_dir) + " kiln daemon stop"};
}

}  // namespace

Result<CacheRemoval> remove_cache(const std::string& dir, RemovalMode mode) {
  if (!exists(dir)) return CacheRemoval{};
  TRY(open_private_dir(dir, "KILN_CACHE_DIR"));
  if (!exists(dir + "/index.db") && !exists(log_path(dir))) {
    return Error{Reason::not_found,
                 printable(dir) + " has neither index nor log of Kiln's, and is left alone",
                 "ls -A " + shell_word(dir)};
  }
  if (const auto keeper = mode == RemovalMode::real ? keeper_of(dir) : std::nullopt) {
    return in_use(dir, *keeper);
  }
  return Removal(dir, mode).run();
}

}  // namespace kiln
