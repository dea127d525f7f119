#include "daemon/unmet_file.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "common/magic.h"
#include "common/pyc.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

bool may_be_of(std::uint32_t magic, const std::string& tag) {
  const auto format = bytecode_format(magic);
  if (!format || !tag.starts_with("cpython-")) return true;
  const auto [major, minor] = format->version;
  return tag.starts_with("cpython-" + std::to_string(major) + std::to_string(minor));
}

// 0: there is no header that the Python of TAG would read.
std::uint32_t magic_of(const std::string& pyc, const std::string& tag) {
  std::error_code unknown;
  if (!fs::is_regular_file(pyc, unknown)) return 0;  // a pipe would hold us up
  char start[kMaxPycHeaderSize];
  std::ifstream file(pyc, std::ios::binary);
  file.read(start, sizeof start);
  const auto header = parse_pyc_header({start, static_cast<std::size_t>(file.gcount())});
  return header && may_be_of(header->magic, tag) ? header->magic : 0;
}

}  // namespace

KnownFile unmet_file(const std::string& source) {
  KnownFile file;
  file.source = source;
  std::error_code failed;
  fs::directory_iterator at(fs::path(source).parent_path() / "__pycache__", failed);
  for (const fs::directory_iterator end; !failed && at != end; at.increment(failed)) {
    const std::string pyc = at->path();
    const auto name = parse_pyc_name(at->path().filename().native());
    if (!name || source_from_cache(pyc) != source) continue;
    IndexEntry entry;
    entry.source = source;
    entry.pyc = pyc;
    entry.cache_tag = name->tag;
    entry.optimize = std::atoi(name->optimization.c_str());
    entry.magic = magic_of(pyc, name->tag);
    file.entries.push_back(std::move(entry));
  }
  std::ranges::sort(file.entries, {}, &IndexEntry::pyc);
  return file;
}

KnownFile unmet_bytecode(const std::string& pyc) {
  const auto source = source_from_cache(pyc);
  KnownFile file = source ? unmet_file(*source) : KnownFile{};
  std::erase_if(file.entries, [&](const IndexEntry& entry) { return entry.pyc != pyc; });
  return file;
}

}  // namespace kiln
