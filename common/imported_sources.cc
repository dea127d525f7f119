#include "common/imported_sources.h"

#include <functional>
#include <optional>
#include <set>

#include "common/pyc.h"

namespace kiln {
namespace {

// A module's name holds no dot: NAME.TAG.pyc is of a tree that mirrors the file system.
bool is_below_prefix(std::string_view pyc) {
  const std::size_t slash = pyc.rfind('/');
  const auto directory = pyc.substr(0, slash);
  return !directory.ends_with("/__pycache__") && parse_pyc_name(pyc.substr(slash + 1));
}

std::optional<std::string> source_of(const std::string& opened) {
  if (!opened.starts_with('/')) return std::nullopt;
  if (!opened.ends_with(".pyc")) return opened;
  return is_below_prefix(opened) ? std::nullopt : source_from_cache(opened);
}

}  // namespace

std::vector<std::string> imported_sources(const std::vector<std::string>& opened) {
  std::set<std::string> sources;
  for (const auto& file : opened) {
    if (auto source = source_of(file)) sources.insert(std::move(*source));
  }
  return {sources.begin(), sources.end()};
}

std::uint64_t hash_of_sources(const std::vector<std::string>& sources) {
  std::uint64_t hash = 0;
  for (const auto& source : sources) hash = hash * 31 + std::hash<std::string>{}(source);
  return hash;
}

}  // namespace kiln
