#include "daemon/source_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "common/path_pattern.h"

namespace kiln {
namespace {

constexpr std::array<std::string_view, 9> kSkipped = {"__pycache__", ".git",        ".hg",
                                                      ".svn",        ".bzr",        "node_modules",
                                                      ".mypy_cache", ".ruff_cache", ".pytest_cache"};

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};
using UniqueDir = std::unique_ptr<DIR, CloseDir>;

std::string join(const std::string& dir, const std::string& name) {
  return dir.ends_with('/') ? dir + name : dir + "/" + name;
}

// The names in a directory, sorted. Nothing, and errno, on failure.
std::vector<std::string> list_names(DIR* dir) {
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    // What is neither a source by its name nor may be a directory need not be kept.
    const bool may_be_dir = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
    if (may_be_dir || name.ends_with(".py")) names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// PATH itself where nothing is there.
std::string real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real != nullptr ? real.get() : path;
}

class Walk {
 public:
  Walk(const std::vector<std::string>& exclude, const std::function<bool()>& cancelled, SourceList& list)
      : exclude_(exclude), cancelled_(cancelled), list_(list) {}

  // WAY leads down from the target: "" or "pkg/sub/".
  void directory(const std::string& path, const std::string& spelling, const std::string& way = {}) {
    if (cancelled_()) return;
    const UniqueDir dir{::opendir(path.c_str())};
    if (!dir) return fail(spelling);
    const auto names = list_names(dir.get());
    if (errno != 0) return fail(spelling);
    std::vector<std::string> directories;
    for (const auto& name : names) {
      if (is_excluded(exclude_, name, way + name)) continue;
      errno = 0;
      const bool is_directory = is_real_directory(::dirfd(dir.get()), name);
      if (errno == EACCES) return fail(spelling);  // it can be listed, but not entered
      if (is_directory) {
        if (!leave_out(name)) directories.push_back(name);
      } else if (name.ends_with(".py")) {
        add_if_regular(::dirfd(dir.get()), name, path, spelling);
      }
    }
    for (const auto& name : directories) directory(join(path, name), join(spelling, name), way + name + "/");
  }

  void fail(const std::string& spelling) { list_.errors.push_back({spelling, system_error(errno)}); }

 private:
  bool leave_out(const std::string& name) {
    if (!is_skipped_directory(name)) return false;
    if (name != "__pycache__") ++list_.left_out[name];
    return true;
  }

  // Fills status_, of the file itself where it is a symlink.
  bool is_real_directory(int dir, const std::string& name) {
    if (::fstatat(dir, name.c_str(), &status_, AT_SYMLINK_NOFOLLOW) != 0) {
      status_ = {};
      return false;
    }
    return S_ISDIR(status_.st_mode);
  }

  void add_if_regular(int dir, const std::string& name, const std::string& path,
                      const std::string& spelling) {
    if (S_ISLNK(status_.st_mode) && ::fstatat(dir, name.c_str(), &status_, 0) != 0) return;
    if (!S_ISREG(status_.st_mode)) return;
    list_.files.push_back({join(path, name), join(spelling, name), stamp_of(status_)});
  }

  const std::vector<std::string>& exclude_;
  const std::function<bool()>& cancelled_;
  SourceList& list_;
  struct stat status_ {};
};

}  // namespace

bool is_skipped_directory(std::string_view name) {
  return std::find(kSkipped.begin(), kSkipped.end(), name) != kSkipped.end();
}

namespace {

// Empty: none does.
std::string_view what_excludes(const std::vector<std::string>& exclude, const std::string& name,
                               const std::string& way) {
  const auto found = std::ranges::find_if(exclude, [&](const std::string& given) {
    const std::string pattern(without_last_slash(given));
    const bool whole = pattern.find('/') != std::string::npos;
    const char* glob = pattern.c_str() + (pattern.starts_with('/') ? 1 : 0);
    return ::fnmatch(glob, (whole ? way : name).c_str(), whole ? FNM_PATHNAME : 0) == 0;
  });
  return found != exclude.end() ? std::string_view(*found) : std::string_view();
}

}  // namespace

bool is_excluded(const std::vector<std::string>& exclude, const std::string& name, const std::string& way) {
  return !what_excludes(exclude, name, way).empty();
}

CompileError system_error(int error_number) {
  const char* type = "OSError";
  switch (error_number) {
    case ENOENT:
      type = "FileNotFoundError";
      break;
    case EACCES:
    case EPERM:
      type = "PermissionError";
      break;
    case ENOTDIR:
      type = "NotADirectoryError";
      break;
    case EISDIR:
      type = "IsADirectoryError";
      break;
    case EEXIST:
      type = "FileExistsError";
      break;
    default:
      break;
  }
  return {type, std::strerror(error_number)};
}

std::string_view what_leaves_out(const std::vector<std::string>& exclude, std::string_view way) {
  for (std::size_t start = 0; start < way.size();) {
    const auto end = std::min(way.find('/', start), way.size());
    const std::string_view name = way.substr(start, end - start);
    if (is_skipped_directory(name) && name != "__pycache__") return name;
    const auto pattern = what_excludes(exclude, std::string(name), std::string(way.substr(0, end)));
    if (!pattern.empty()) return pattern;
    start = end + 1;
  }
  return {};
}

bool is_left_out(const std::vector<std::string>& exclude, std::string_view way) {
  return !what_leaves_out(exclude, way).empty();
}

std::string clean_path(const std::string& path) {
  std::string clean;
  for (std::size_t start = 0; start < path.size();) {
    const auto end = std::min(path.find('/', start), path.size());
    const auto part = path.substr(start, end - start);
    start = end + 1;
    if (part.empty() || part == ".") continue;
    // Only the file system knows what lies above a symlink.
    if (part == "..") return real_path(path);
    clean += "/" + part;
  }
  return clean.empty() ? "/" : clean;
}

namespace {

// The source NAME.py beside the file PATH, if that is called NAME, or NAME.txt. Empty: there is none.
std::string owner_of_bytecode(const std::string& path) {
  if (path.ends_with(".py")) return {};
  const auto slash = path.rfind('/');
  const auto dot = path.rfind('.');
  const bool has_suffix = dot != std::string::npos && dot > slash + 1;
  const std::string owner = path.substr(0, has_suffix ? dot : path.size()) + ".py";
  struct stat status {};
  return ::stat(owner.c_str(), &status) == 0 && S_ISREG(status.st_mode) ? owner.substr(slash + 1)
                                                                        : std::string();
}

}  // namespace

void walk_sources(const WalkTarget& target, const std::vector<std::string>& exclude,
                  const std::function<bool()>& cancelled, SourceList& list) {
  const auto path = clean_path(target.path);
  const auto& spelling = target.spelling;
  Walk walk(exclude, cancelled, list);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    walk.fail(spelling);
  } else if (S_ISDIR(status.st_mode)) {
    walk.directory(path, spelling);
  } else if (const auto owner = S_ISREG(status.st_mode) ? owner_of_bytecode(path) : std::string();
             !owner.empty()) {
    list.errors.push_back({spelling, {"ValueError", "its bytecode file would be that of " + owner}});
  } else if (S_ISREG(status.st_mode)) {
    list.files.push_back({path, spelling, stamp_of(status)});
  } else {
    list.errors.push_back({spelling, {"OSError", "neither a file nor a directory"}});
  }
}

}  // namespace kiln
