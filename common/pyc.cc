#include "common/pyc.h"

#include <bit>
#include <cctype>
#include <cstring>

namespace kiln {
namespace {

static_assert(std::endian::native == std::endian::little, "headers are written in host order");

constexpr std::size_t kMagicSize = 4;
constexpr std::string_view kSuffix = ".pyc";
constexpr std::string_view kOldOptimizedSuffix = ".pyo";
constexpr std::string_view kSourceSuffix = ".py";
constexpr std::string_view kCacheDir = "/__pycache__";
constexpr std::string_view kOptimization = "opt-";

template <class T>
T read_at(std::string_view bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <class T>
void write_at(std::string& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

HeaderLayout layout_of(std::uint32_t magic) {
  const auto format = bytecode_format(magic);
  return format ? format->header : HeaderLayout::flags;
}

std::size_t size_of(HeaderLayout layout) {
  switch (layout) {
    case HeaderLayout::mtime:
      return 8;
    case HeaderLayout::mtime_and_size:
      return 12;
    case HeaderLayout::flags:
      break;
  }
  return kMaxPycHeaderSize;
}

std::size_t mtime_offset(HeaderLayout layout) {
  return layout == HeaderLayout::flags ? 8 : kMagicSize;
}

Result<PycKind> parse_kind(std::uint32_t flags) {
  // importlib refuses unknown bits only: flags 2, "check" without "hash-based", it takes for a timestamp pyc.
  if (flags > 3) return Error{Reason::bad_pyc, "bytecode file with flags " + std::to_string(flags), {}};
  return (flags & 1) == 0 ? PycKind::timestamp : static_cast<PycKind>(flags);
}

// Splits off what follows the last dot, dot excluded. No dot: nothing.
std::optional<std::string_view> take_last_part(std::string_view& name) {
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto part = name.substr(dot + 1);
  name = name.substr(0, dot);
  return part;
}

bool is_alphanumeric(std::string_view text) {
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) return false;
  }
  return !text.empty();
}

std::string_view without_trailing_slashes(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

std::string_view without_leading_slashes(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

std::string cache_name(std::string_view file, std::string_view tag, int optimize) {
  const auto dot = file.rfind('.');
  std::string name;
  if (dot == std::string_view::npos) {
    name = file;  // and no dot before the tag either: so does importlib
  } else {
    name = dot == 0 ? file.substr(1) : file.substr(0, dot);
    name += '.';
  }
  name += tag;
  if (optimize > 0) name += "." + std::string(kOptimization) + std::to_string(optimize);
  return name.append(kSuffix);
}

std::optional<std::string> beside_source(std::string_view pyc, std::string_view name) {
  if (!name.ends_with(kSuffix) && !name.ends_with(kOldOptimizedSuffix)) return std::nullopt;
  if (name.size() == kSuffix.size()) return std::nullopt;
  return std::string(pyc.substr(0, pyc.size() - 1));  // NAME.py
}

}  // namespace

std::size_t pyc_header_size(std::uint32_t magic) {
  return size_of(layout_of(magic));
}

std::int64_t python_mtime_s(std::int64_t modified_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::int64_t seconds = modified_ns / kSecond;
  std::int64_t rest = modified_ns % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --seconds;
  }
  return static_cast<std::int64_t>(static_cast<double>(seconds) + 1e-9 * static_cast<double>(rest));
}

PycHeader timestamp_header(std::uint32_t magic, std::int64_t mtime_s, std::uint64_t source_size) {
  const bool has_size = layout_of(magic) != HeaderLayout::mtime;
  return {magic, PycKind::timestamp, static_cast<std::uint32_t>(mtime_s),
          has_size ? static_cast<std::uint32_t>(source_size) : 0, 0};
}

std::string encode_pyc_header(const PycHeader& header) {
  const auto layout = layout_of(header.magic);
  std::string bytes(size_of(layout), '\0');
  write_at(bytes, 0, header.magic);
  if (layout == HeaderLayout::flags) write_at(bytes, 4, static_cast<std::uint32_t>(header.kind));
  if (header.kind == PycKind::timestamp) {
    write_at(bytes, mtime_offset(layout), header.mtime_s);
    if (layout != HeaderLayout::mtime) write_at(bytes, mtime_offset(layout) + 4, header.source_size);
  } else if (layout == HeaderLayout::flags) {
    write_at(bytes, 8, header.source_hash);
  }
  return bytes;
}

Result<PycHeader> parse_pyc_header(std::string_view bytes) {
  const Error too_short{Reason::bad_pyc, "bytecode file ends within its header", {}};
  if (bytes.size() < kMagicSize) return too_short;
  PycHeader header;
  header.magic = read_at<std::uint32_t>(bytes, 0);
  const auto layout = layout_of(header.magic);
  if (bytes.size() < size_of(layout)) return too_short;
  if (layout == HeaderLayout::flags) header.kind = TRY(parse_kind(read_at<std::uint32_t>(bytes, 4)));
  if (header.kind == PycKind::timestamp) {
    header.mtime_s = read_at<std::uint32_t>(bytes, mtime_offset(layout));
    if (layout != HeaderLayout::mtime) {
      header.source_size = read_at<std::uint32_t>(bytes, mtime_offset(layout) + 4);
    }
  } else {
    header.source_hash = read_at<std::uint64_t>(bytes, 8);
  }
  return header;
}

std::string cache_from_source(std::string_view source, std::string_view tag, int optimize,
                              std::string_view pycache_prefix) {
  const auto slash = source.rfind('/');
  const bool bare = slash == std::string_view::npos;
  const auto head = bare ? std::string_view{} : without_trailing_slashes(source.substr(0, slash));
  const auto name = cache_name(bare ? source : source.substr(slash + 1), tag, optimize);
  if (pycache_prefix.empty()) {
    return std::string(head).append(bare ? "" : "/").append("__pycache__/").append(name);
  }
  const auto below = without_leading_slashes(head);
  std::string path(without_trailing_slashes(pycache_prefix));
  if (!below.empty()) path.append("/").append(below);
  return path.append("/").append(name);
}

std::optional<std::string> source_from_cache(std::string_view pyc, std::string_view pycache_prefix) {
  const auto slash = pyc.rfind('/');
  auto dir = pyc.substr(0, slash == std::string_view::npos ? 0 : slash);
  const auto name = pyc.substr(slash + 1);
  const auto prefix = without_trailing_slashes(pycache_prefix);
  const bool below = !prefix.empty() && dir.starts_with(prefix) &&
                     (dir.size() == prefix.size() || dir[prefix.size()] == '/');
  if (!below && !dir.ends_with(kCacheDir)) return beside_source(pyc, name);
  const auto parts = parse_pyc_name(name);
  if (!parts) return std::nullopt;
  if (below) {
    dir.remove_prefix(prefix.size());
  } else {
    dir.remove_suffix(kCacheDir.size());
  }
  return std::string(dir).append("/").append(parts->module).append(kSourceSuffix);
}

std::string source_directory(std::string_view directory) {
  if (directory.ends_with(kCacheDir)) directory.remove_suffix(kCacheDir.size());
  return std::string(directory.empty() ? "/" : directory);
}

std::string legacy_cache_path(std::string_view source, PythonVersion version, int optimize) {
  const bool pyo = optimize > 0 && version < PythonVersion{3, 5};  // PEP 488 abolished it
  return std::string(source).append(pyo ? "o" : "c");
}

std::optional<PycName> parse_pyc_name(std::string_view name) {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  PycName parts;
  auto last = take_last_part(name);
  if (last && last->starts_with(kOptimization)) {
    last->remove_prefix(kOptimization.size());
    if (!is_alphanumeric(*last)) return std::nullopt;
    parts.optimization = *last;
    last = take_last_part(name);
  }
  if (!last || last->empty() || name.empty()) return std::nullopt;
  parts.tag = *last;
  parts.module = name;
  return parts;
}

}  // namespace kiln
