#include "client/pyc_report.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "client/program_path.h"
#include "common/overlay.h"
#include "common/path_error.h"
#include "common/source_hash.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

constexpr off_t kMaxFile = off_t{1} << 30;
constexpr std::size_t kStep = std::size_t{1} << 16;
constexpr std::int64_t kSecond_ns = 1'000'000'000;

Error too_large(const std::string& path) {
  return {Reason::system, path + " is too large", {}};
}

// More than it had a moment ago, if it grows.
Result<void> read_to_end(int fd, const std::string& path, std::string& bytes) {
  for (;;) {
    const std::size_t filled = bytes.size();
    if (filled > std::size_t{kMaxFile}) return too_large(path);
    bytes.resize(filled + kStep);
    const ssize_t size = ::read(fd, bytes.data() + filled, kStep);
    bytes.resize(filled + static_cast<std::size_t>(size > 0 ? size : 0));
    if (size == 0) return {};
    if (size < 0 && errno != EINTR) return path_error("cannot read", path);
  }
}

Result<std::string> read_file(const std::string& path) {
  // O_NONBLOCK: a FIFO of that name must not hold us up.
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!fd) return path_error("cannot open", path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return path_error("cannot read", path);
  if (!S_ISREG(status.st_mode)) return Error{Reason::system, path + " is not a file", {}};
  if (status.st_size > kMaxFile) return too_large(path);
  std::string bytes;
  TRY_VOID(read_to_end(fd.get(), path, bytes));
  return bytes;
}

SourceState compare_stat(const PycHeader& header, const struct stat& source) {
  const auto modified_ns = source.st_mtim.tv_sec * kSecond_ns + source.st_mtim.tv_nsec;
  const auto expected =
      timestamp_header(header.magic, python_mtime_s(modified_ns), static_cast<std::uint64_t>(source.st_size));
  if (header.mtime_s != expected.mtime_s) return SourceState::stale_mtime;
  return header.source_size == expected.source_size ? SourceState::fresh : SourceState::stale_size;
}

SourceState compare_hash(const PycHeader& header, const std::string& path) {
  const auto source = read_file(path);
  if (!source) return SourceState::unreadable;
  return source_hash(*source, header.magic) == header.source_hash ? SourceState::fresh
                                                                  : SourceState::stale_hash;
}

SourceState judge(const PycHeader& header, const std::string& source) {
  if (source.empty()) return SourceState::unknown;
  struct stat status {};
  if (::stat(source.c_str(), &status) != 0) {
    return errno == ENOENT || errno == ENOTDIR ? SourceState::missing : SourceState::unreadable;
  }
  if (!S_ISREG(status.st_mode)) return SourceState::missing;
  switch (header.kind) {
    case PycKind::unchecked_hash:
      return SourceState::not_asked;
    case PycKind::checked_hash:
      return compare_hash(header, source);
    case PycKind::timestamp:
      break;
  }
  return compare_stat(header, status);
}

Result<PycHeader> known_header(const std::string& path, std::string_view bytes) {
  constexpr std::string_view kLineEnd = "\r\n";
  if (bytes.size() < 4 || bytes.substr(2, 2) != kLineEnd) {
    return Error{Reason::bad_pyc, path + " is no bytecode file of Python", {}};
  }
  const auto header = parse_pyc_header(bytes);
  if (!header) return Error{Reason::bad_pyc, path + ": " + header.error().message, {}};
  if (!bytecode_format(header->magic)) {
    const std::string number = path + ": magic number " + std::to_string(header->magic & 0xffff);
    const bool pypy = is_pypy_magic(header->magic);
    return Error{Reason::bad_pyc,
                 number + (pypy ? " is PyPy's, whose bytecode is its own"
                                : " is of no release of Python from 2.7 to 3.14"),
                 {}};
  }
  return *header;
}

// A file of Kiln's overlay is told by its seal: a hash does not match by chance.
std::string_view without_seal(const PycHeader& header, std::string_view bytes) {
  if (header.kind != PycKind::checked_hash) return bytes;
  return unseal_overlay_file(bytes, header.magic).value_or(bytes);
}

std::string source_of(const std::string& path, const std::string& pycache_prefix,
                      const std::string& overlay) {
  const std::string pyc = made_absolute(path);
  const std::string overlaid = overlay.empty() ? std::string() : overlaid_source(overlay, pyc);
  return overlaid.empty() ? source_from_cache(pyc, pycache_prefix).value_or("") : overlaid;
}

}  // namespace

std::string_view word(SourceState state) {
  switch (state) {
    case SourceState::fresh:
      return "fresh";
    case SourceState::stale_mtime:
      return "mtime";
    case SourceState::stale_size:
      return "size";
    case SourceState::stale_hash:
      return "hash";
    case SourceState::missing:
      return "missing";
    case SourceState::unreadable:
      return "unreadable";
    case SourceState::not_asked:
      return "not-asked";
    case SourceState::unknown:
      break;
  }
  return "unknown";
}

Result<PycReport> report_pyc(const std::string& path, const std::string& pycache_prefix,
                             const std::string& overlay) {
  auto bytes = TRY(read_file(path));
  // Not within the braces below: g++ 12 does not destroy the members before it when TRY returns.
  const auto header = TRY(known_header(path, bytes));
  PycReport report{.path = path, .size = bytes.size(), .header = header};
  report.format = *bytecode_format(report.header.magic);
  report.body = without_seal(report.header, bytes).substr(pyc_header_size(report.header.magic));
  report.source = source_of(path, pycache_prefix, overlay);
  report.state = judge(report.header, report.source);
  return report;
}

}  // namespace kiln
