// Absolute paths as text. In an ordered map all that lies below a directory is one range: '0' follows '/'.
#pragma once

#include <string>
#include <string_view>
#include "common/variables.h"

namespace kiln {

inline std::string path_in(std::string_view directory, std::string_view name) {
  while (directory.ends_with('/')) directory.remove_suffix(1);
  return std::string(directory).append("/").append(name);
}

// "/" for "/a" and for itself.
inline std::string_view directory_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return path.substr(0, slash == 0 || slash == std::string_view::npos ? 1 : slash);
}

inline std::string_view name_of(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

inline bool is_below(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.size() > 1;
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

// The entries of MAP whose paths lie below DIRECTORY, itself not among them: [begin, end).
template <class Map>
auto range_below(Map& map, std::string_view directory) {
  std::string bound(directory == "/" ? "" : directory);
  const auto begin = map.upper_bound(bound + '/');
  bound += '0';
  return std::pair(begin, map.lower_bound(bound));
}

}  // namespace kiln
