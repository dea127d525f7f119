#include "daemon/image/overlay_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
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

}  // namespace

bool is_private_dir(const std::string& dir) {
  struct stat status {};
  return ::lstat(dir.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid() &&
         (status.st_mode & 022) == 0;
}

std::optional<std::string> read_overlaid_source(const std::string& path) {
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  const auto size = size_of(fd.get(), kMaxSourceBytes);
  if (!size) return std::nullopt;
  std::string bytes(*size, '\0');
  if (!read_exactly(fd.get(), bytes.data(), bytes.size())) return std::nullopt;
  return bytes;
}

UniqueFd open_overlay_file(const std::string& file) {
  return UniqueFd{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
}

PythonRef read_overlay_file(int fd, const std::string& source, std::uint32_t magic) {
  const auto size = size_of(fd, kMaxPycBytes);
  const auto header = overlay_header(source, magic);
  if (!size || !header || *size <= header->size()) return {};
  PythonRef bytes{PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(*size))};
  if (!bytes) {
    PyErr_Clear();
    return {};
  }
  char* contents = PyBytes_AsString(bytes.get());
  if (!read_exactly(fd, contents, *size)) return {};
  const std::string_view body(contents + header->size(), *size - header->size());
  const bool is_good =
      std::memcmp(contents, header->data(), header->size()) == 0 && is_whole_code(body, magic);
  return is_good ? std::move(bytes) : PythonRef{};
}

}  // namespace kiln::image
