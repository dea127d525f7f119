#include "common/overlay.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/pyc.h"
#include "common/source_hash.h"

namespace kiln {
namespace {

constexpr std::string_view kCacheDir = "__pycache__";
constexpr std::size_t kSealSize = 8;

// The part up to the last slash, without it, and what follows it.
struct Split {
  std::string_view head;
  std::string_view tail;
};

Split split(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return {{}, path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

// Absolute, and nothing in it that leads up or nowhere.
bool is_plain(std::string_view path) {
  if (!path.starts_with('/')) return false;
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(part.size());
  }
  return true;
}

// Empty where there are no hashes. Little-endian, as source_hash.cc asserts of this machine.
std::string seal_of(std::string_view bytes, std::uint32_t magic) {
  const auto hash = source_hash(bytes, magic);
  if (!hash) return {};
  std::string seal(kSealSize, '\0');
  std::memcpy(seal.data(), &*hash, kSealSize);
  return seal;
}

// 0 or errno.
int ask_to_write(const std::string& dir) {
  return ::faccessat(AT_FDCWD, dir.c_str(), W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

}  // namespace

std::string overlay_dir(const std::string& cache_dir) {
  return cache_dir + "/overlay";
}

std::string overlay_path(std::string_view dir, std::string_view pyc) {
  const auto [cache, name] = split(pyc);
  const auto [parent, last] = split(cache);
  if (last != kCacheDir || !is_plain(pyc)) return {};
  return std::string(dir).append(parent).append("/").append(name);
}

std::string overlaid_source(std::string_view dir, std::string_view file) {
  if (!file.starts_with(dir)) return {};
  const auto [parent, name] = split(file.substr(dir.size()));
  const auto parts = parse_pyc_name(name);
  if (!parts) return {};
  return std::string(parent).append("/").append(parts->module).append(".py");
}

std::optional<std::string> overlay_header(std::string_view source, std::uint32_t magic) {
  const auto hash = source_hash(source, magic);
  if (!hash) return std::nullopt;
  PycHeader header;
  header.magic = magic;
  header.kind = PycKind::checked_hash;
  header.source_hash = *hash;
  return encode_pyc_header(header);
}

std::string seal_overlay_file(std::string file, std::uint32_t magic) {
  return file.append(seal_of(file, magic));
}

std::optional<std::string_view> unseal_overlay_file(std::string_view file, std::uint32_t magic) {
  if (file.size() < kSealSize) return std::nullopt;
  const auto sealed = file.substr(0, file.size() - kSealSize);
  if (file.substr(sealed.size()) != seal_of(sealed, magic)) return std::nullopt;
  return sealed;
}

bool is_unwritable(const std::string& pyc) {
  const auto [cache, name] = split(pyc);
  int error = ask_to_write(std::string(cache));
  if (error == ENOENT) error = ask_to_write(std::string(split(cache).head).append("/"));
  if (error != EACCES && error != EROFS && error != EPERM) return false;
  struct stat status {};  // a file of that name is a mistake, which writing will tell
  return ::stat(std::string(cache).c_str(), &status) != 0 || S_ISDIR(status.st_mode);
}

}  // namespace kiln
