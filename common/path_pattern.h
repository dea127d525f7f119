// Patterns of files and directories that are left out below some directory, as of fnmatch(3).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln {

// A GLOB without a slash is meant for every name, at any depth. One with a slash is meant for a way down from
// BASE, an absolute directory; with none, from the directory that is walked. A slash at its end, as in gen/,
// says that a directory is meant, and no more: sources, which could be meant instead, are named *.py.
struct PathPattern {
  std::string glob;
  std::string base;

  bool operator==(const PathPattern&) const = default;
};

// GLOB without slashes at its end.
std::string_view without_last_slash(std::string_view glob);

// PATTERNS as daemon/source_walk.h takes them for a walk of DIRECTORY (absolute, without "." and ".."). Those
// that are meant for other places are dropped, and so are those that match DIRECTORY itself, or a directory
// above it: whoever names a directory means it.
std::vector<std::string> patterns_below(const std::string& directory,
                                        const std::vector<PathPattern>& patterns);

// Whether one of PATTERNS is meant for PATH, absolute, or for a directory above it.
bool matches_any(const std::vector<PathPattern>& patterns, std::string_view path);

}  // namespace kiln
