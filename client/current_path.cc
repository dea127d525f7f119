#include "client/current_path.h"

#include <filesystem>

namespace kiln {

Result<std::vector<std::string>> absolute_paths(const std::vector<std::string>& paths) {
  std::vector<std::string> all;
  for (const auto& path : paths) {
    std::error_code failed;
    const auto absolute = std::filesystem::absolute(path, failed);
    if (failed) return Error{Reason::system, "the current directory is gone", {}};
    std::string normal = absolute.lexically_normal().string();
    if (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
    all.push_back(std::move(normal));
  }
  return all;
}

}  // namespace kiln
