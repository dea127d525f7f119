#include "daemon/image/overlay_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "common/marshal.h"
#include "common/overlay.h"

namespace kiln::image {
namespace {

constexpr off_t kMaxSourceBytes = 64 << 20;
constexpr off_t kMaxPycBytes = 256 << 20;

// Fills BUFFER with the first SIZE bytes of FD.
bool read_exactly(int fd, char* buffer, std::size_t size) {
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t got = ::pread(fd, buffer + filled, size - filled, static_cast<off_t>(filled));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    filled += static_cast<std::size_t>(got);
  }
  return true;
}

std::optional<std::size_t> size_of(int fd, off_t limit) {
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > limit) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(status.st_size);
}

// Nothing unless FD is a regular file of at most LIMIT bytes.
std::optional<std::string> read_all(int fd, off_t limit) {
  const auto size = size_of(fd, limit);
  if (!size) return std::nullopt;
  std::string bytes(*size, '\0');
  if (!read_exactly(fd, bytes.data(), bytes.size())) return std::nullopt;
  return bytes;
}

}  // namespace

bool is_private_dir(const std::string& dir) {
  struct stat status {};
  return ::lstat(dir.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid() &&
         (status.st_mode & 022) == 0;
}

std::optional<std::string> read_overlaid_source(const std::string& path) {
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  return read_all(fd.get(), kMaxSourceBytes);
}

UniqueFd open_overlay_file(const std::string& file) {
  return UniqueFd{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
}

PythonRef read_overlay_file(int fd, const std::string& source, std::uint32_t magic) {
  const auto file = read_all(fd, kMaxPycBytes);
  const auto header = overlay_header(source, magic);
  if (!file || !header) return {};
  const auto sealed = unseal_overlay_file(*file, magic);
  if (!sealed || !sealed->starts_with(*header)) return {};
  if (!is_whole_code(sealed->substr(header->size()), magic)) return {};
  PythonRef bytes{PyBytes_FromStringAndSize(sealed->data(), static_cast<Py_ssize_t>(sealed->size()))};
  if (!bytes) PyErr_Clear();
  return bytes;
}

}  // namespace kiln::image
