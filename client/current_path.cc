#include "client/current_path.h"

#include <algorithm>
#include <filesystem>

namespace kiln {

Result<std::string> absolute_path_of(const std::string& path) {
  if (path.empty()) return Error{Reason::usage, "an empty path leads nowhere", "kiln --help"};
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(path, failed);
  if (failed) return Error{Reason::system, "the current directory is gone", "cd \"$HOME\""};
  std::string normal = absolute.lexically_normal().string();
  if (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
  return normal;
}

Result<std::vector<std::string>> absolute_paths(const std::vector<std::string>& paths) {
  std::vector<std::string> all;
  for (const auto& path : paths) all.push_back(TRY(absolute_path_of(path)));
  return all;
}

Result<std::vector<std::string>> outermost_paths(const std::vector<std::string>& paths) {
  std::vector<std::string> outermost;
  for (const auto& path : TRY(absolute_paths(paths))) {
    const auto covers = [&](const std::string& other) {
      return other == "/" || path == other || path.starts_with(other + "/");
    };
    if (std::ranges::any_of(outermost, covers)) continue;
    std::erase_if(outermost,
                  [&](const std::string& other) { return path == "/" || other.starts_with(path + "/"); });
    outermost.push_back(path);
  }
  return outermost;
}

}  // namespace kiln
