#include "client/current_path.h"

#include <filesystem>

namespace kiln {

Result<std::string> absolute_path_of(const std::string& path) {
  if (path.empty()) return Error{Reason::usage, "an empty path leads nowhere", {}};
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(path, failed);
  if (failed) return Error{Reason::system, "the current directory is gone", {}};
  std::string normal = absolute.lexically_normal().string();
  if (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
  return normal;
}

Result<std::vector<std::string>> absolute_paths(const std::vector<std::string>& paths) {
  std::vector<std::string> all;
  for (const auto& path : paths) all.push_back(TRY(absolute_path_of(path)));
  return all;
}

}  // namespace kiln
