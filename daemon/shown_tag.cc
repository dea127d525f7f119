#include "daemon/shown_tag.h"

#include "common/magic.h"

namespace kiln {

std::string shown_tag(const IndexEntry& entry) {
  const auto format = entry.cache_tag.empty() ? bytecode_format(entry.magic) : std::nullopt;
  if (!format) return entry.cache_tag;
  return "cpython-" + std::to_string(format->version.major) + std::to_string(format->version.minor);
}

}  // namespace kiln
