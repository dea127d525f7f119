#include "daemon/freshness.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "common/pyc.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

// The shortest code object of any version takes more than this.
constexpr std::size_t kMinBody = 40;
constexpr char kTypeCode = 'c';     // marshal's letter for a code object
constexpr char kLetterMask = 0x7f;  // less FLAG_REF

bool same_second(std::int64_t a_ns, std::int64_t b_ns) {
  return a_ns / 1'000'000'000 == b_ns / 1'000'000'000;
}

// START is the header and the first byte of the body, as far as the file goes.
Freshness judge(std::string_view start, std::uint32_t magic, const FileStamp& source, const FileStamp& pyc) {
  const auto header = parse_pyc_header(start);
  if (!header) return Freshness::bad_header;
  const auto expected = timestamp_header(magic, source.python_mtime_s(), source.size);
  if (header->magic != expected.magic) return Freshness::magic;
  if (header->kind != expected.kind) return Freshness::kind;
  if (header->mtime_s != expected.mtime_s) return Freshness::mtime;
  if (header->source_size != expected.source_size) return Freshness::size;
  if (pyc.size < kPycHeaderSize + kMinBody || (start.back() & kLetterMask) != kTypeCode)
    return Freshness::body;
  if (source.modified_ns > pyc.modified_ns && same_second(source.modified_ns, pyc.modified_ns))
    return Freshness::same_second;
  return Freshness::fresh;
}

}  // namespace

std::string_view word(Freshness freshness) {
  switch (freshness) {
    case Freshness::fresh:
      return "fresh";
    case Freshness::missing:
      return "missing";
    case Freshness::unreadable:
      return "unreadable";
    case Freshness::bad_header:
      return "bad-header";
    case Freshness::magic:
      return "magic";
    case Freshness::kind:
      return "kind";
    case Freshness::mtime:
      return "mtime";
    case Freshness::size:
      return "size";
    case Freshness::body:
      return "body";
    case Freshness::same_second:
      return "same-second";
  }
  return "unknown";
}

PycCheck check_pyc(const std::string& pyc, std::uint32_t magic, const FileStamp& source) {
  // O_NONBLOCK: a FIFO of that name must not hold us up.
  const UniqueFd fd{::open(pyc.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!fd) return {errno == ENOENT || errno == ENOTDIR ? Freshness::missing : Freshness::unreadable, {}};
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {Freshness::unreadable, {}};
  char start[kPycHeaderSize + 1];
  const ssize_t size = ::read(fd.get(), start, sizeof start);
  if (size < 0) return {Freshness::unreadable, {}};
  const auto stamp = stamp_of(status);
  return {judge({start, static_cast<std::size_t>(size)}, magic, source, stamp), stamp};
}

}  // namespace kiln
