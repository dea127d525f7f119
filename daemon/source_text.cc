#include "daemon/source_text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "common/source_hash.h"
#include "common/unique_fd.h"
#include "daemon/digest.h"
#include "daemon/source_walk.h"

namespace kiln {
namespace {

constexpr std::size_t kMaxSourceBytes = 256U << 20;
// A source that changes faster than it can be read this often is left to the next time.
constexpr int kReadAttempts = 5;

// SIZE bytes of FD, or as many as there are; that it has grown is for a look at its stamp to tell. 0 or
// errno.
int read_bytes(int fd, std::size_t size, std::string& bytes) {
  bytes.resize(size);
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t got = ::read(fd, bytes.data() + filled, size - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return 0;
}

// A file that does not tell its size, as those in /proc, and some of other file systems.
int read_to_end(int fd, std::string& bytes) {
  constexpr std::size_t kAtOnce = 64U << 10;
  std::string part;
  do {
    if (const int error = read_bytes(fd, kAtOnce, part); error != 0) return error;
    bytes += part;
  } while (!part.empty() && bytes.size() <= kMaxSourceBytes);
  return 0;
}

// Reads PATH once. Nothing if it changed meanwhile.
boost::system::result<std::optional<SourceText>, CompileError> try_read_source(const std::string& path) {
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat before {};
  struct stat after {};
  if (!fd || ::fstat(fd.get(), &before) != 0) return system_error(errno);
  if (!S_ISREG(before.st_mode)) return CompileError{"OSError", "not a regular file"};
  if (!has_exact_times(before)) return CompileError{"OSError", "its time is beyond the year 2262"};
  const auto size = static_cast<std::size_t>(before.st_size);
  SourceText text;
  const int error = size == 0                ? read_to_end(fd.get(), text.bytes)
                    : size > kMaxSourceBytes ? 0
                                             : read_bytes(fd.get(), size, text.bytes);
  if (error != 0) return system_error(error);
  if (std::max(size, text.bytes.size()) > kMaxSourceBytes)
    return CompileError{"OSError", "source of more than 256 MiB"};
  // By path: an editor's rename puts another file there.
  if (::stat(path.c_str(), &after) != 0) return system_error(errno);
  text.stamp = stamp_of(before);
  text.mode = before.st_mode;
  if (stamp_of(after) != text.stamp || (size != 0 && text.bytes.size() != size))
    return std::optional<SourceText>{};
  return std::optional(std::move(text));
}

}  // namespace

ReadResult read_source(const std::string& path) {
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    auto text = try_read_source(path);
    if (!text) return text.error();
    if (*text) return std::move(**text);
  }
  return CompileError{"OSError", "the file changes faster than it can be read"};
}

std::optional<std::uint64_t> content_of(const std::string& path) {
  const auto text = read_source(path);
  return text ? std::optional(content_id(sha256(text->bytes))) : std::nullopt;
}

std::optional<std::uint64_t> source_hash_of(const std::string& path, std::uint32_t magic) {
  const auto text = read_source(path);
  return text ? source_hash(text->bytes, magic) : std::nullopt;
}

}  // namespace kiln
