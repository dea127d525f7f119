#include "common/path_pattern.h"

#include <fnmatch.h>

#include <algorithm>
#include <optional>
#include <string_view>

namespace kiln {
namespace {

// Takes the part before the first slash, and the slash, from REST.
std::string take_part(std::string_view& rest) {
  const auto slash = std::min(rest.find('/'), rest.size());
  std::string part(rest.substr(0, slash));
  rest.remove_prefix(std::min(slash + 1, rest.size()));
  return part;
}

// What leads from BASE down to DIRECTORY: "", "src/pkg". Nothing if it is not below.
std::optional<std::string_view> way_down(std::string_view base, std::string_view directory) {
  if (base == "/") return directory.substr(1);
  if (!directory.starts_with(base)) return std::nullopt;
  directory.remove_prefix(base.size());
  if (directory.empty()) return directory;
  if (directory.front() != '/') return std::nullopt;
  return directory.substr(1);
}

// What is left of GLOB once its first parts have led down WAY. Empty: it does not lead below it. A pattern
// can be taken apart so, because nothing in it matches a slash (FNM_PATHNAME).
std::string rest_below(std::string_view glob, std::string_view way) {
  if (glob.starts_with('/')) glob.remove_prefix(1);
  while (!way.empty()) {
    if (::fnmatch(take_part(glob).c_str(), take_part(way).c_str(), 0) != 0) return {};
  }
  return std::string(glob);
}

}  // namespace

std::string_view without_last_slash(std::string_view glob) {
  while (glob.size() > 1 && glob.ends_with('/')) glob.remove_suffix(1);
  return glob;
}

bool matches_any(const std::vector<PathPattern>& patterns, std::string_view path) {
  return std::ranges::any_of(patterns, [&](const PathPattern& pattern) {
    const std::string glob(without_last_slash(pattern.glob));
    const bool is_name = glob.find('/') == std::string::npos;
    const std::string whole = glob.starts_with('/') && pattern.base.empty()
                                  ? glob
                                  : pattern.base + (glob.starts_with('/') ? "" : "/") + glob;
    for (auto end = path.find('/', 1); !path.empty(); end = path.find('/', end + 1)) {
      const std::string part(path.substr(0, end));
      const std::string name = part.substr(part.rfind('/') + 1);
      if (::fnmatch((is_name ? glob : whole).c_str(), (is_name ? name : part).c_str(), FNM_PATHNAME) == 0)
        return true;
      if (end == std::string_view::npos) return false;
    }
    return false;
  });
}

std::vector<std::string> patterns_below(const std::string& directory,
                                        const std::vector<PathPattern>& patterns) {
  std::vector<std::string> below;
  for (const auto& [given, base] : patterns) {
    const auto glob = without_last_slash(given);
    if (base.empty() || glob.find('/') == std::string_view::npos) {
      below.emplace_back(glob);
      continue;
    }
    const auto way = way_down(base, directory);
    const std::string rest = way ? rest_below(glob, *way) : std::string();
    if (!rest.empty()) below.push_back("/" + rest);
  }
  return below;
}

}  // namespace kiln
