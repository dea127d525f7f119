// Which files `python -m compileall` would look at: *.py below a directory, in sorted order, without
// symlinked directories and __pycache__. Unlike it we leave out directories of version control and of other
// tools, in which no Python program lies that anybody imports.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/file_stamp.h"
#include "daemon/compile_worker.h"

namespace kiln {

struct SourceFile {
  std::string path;      // absolute
  std::string spelling;  // as compileall would embed it: the target as spelled, and the way down from there
  FileStamp stamp;
};

// A directory or target that cannot be looked at.
struct WalkError {
  std::string spelling;
  CompileError error;
};

struct SourceList {
  std::vector<SourceFile> files;
  std::vector<WalkError> errors;
  std::map<std::string, std::uint64_t> left_out;  // directories of other tools, by name; __pycache__ is none
};

struct WalkTarget {
  std::string path;      // absolute
  std::string spelling;  // as the user gave it
};

// An absolute PATH without empty and "." parts, and, if there is any "..", without symlinks: one file should
// have one name in the index, however it was spelled.
std::string clean_path(const std::string& path);

// Adds to LIST what the target holds. One that is a file is taken whatever its name, one that is a symlink is
// followed. EXCLUDE are patterns as of fnmatch(3): one without a slash is matched with each name below the
// target, of a file or a directory, another with the way from the target down to it, where * does not go
// beyond a slash (a slash in front begins there, too: "/build" is no build further down, and one at the end
// does not count); what matches is left out, and all below it. CANCELLED is asked before each directory.
void walk_sources(const WalkTarget& target, const std::vector<std::string>& exclude,
                  const std::function<bool()>& cancelled, SourceList& list);

// True for a directory that is left out: __pycache__, .git, node_modules, ...
bool is_skipped_directory(std::string_view name);

// True if one of the patterns EXCLUDE, as of walk_sources(), matches NAME, to which WAY leads down.
bool is_excluded(const std::vector<std::string>& exclude, const std::string& name, const std::string& way);

// Why what WAY, relative, leads to from a directory is left out with EXCLUDE, it or a directory on the way:
// the pattern, or the name of a directory that is_skipped_directory(), of which __pycache__ is none here.
// Empty: it is not.
std::string_view what_leaves_out(const std::vector<std::string>& exclude, std::string_view way);
bool is_left_out(const std::vector<std::string>& exclude, std::string_view way);

// A failed system call in Python's words: PermissionError, "Permission denied".
CompileError system_error(int error_number);

}  // namespace kiln
