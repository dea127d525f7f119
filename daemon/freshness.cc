#include "daemon/freshness.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/marshal.h"
#include "common/overlay.h"
#include "common/pyc.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

constexpr std::uint64_t kMaxPycBytes = 1ULL << 30;
constexpr char kTypeCode = 'c';     // marshal's letter for a code object
constexpr char kLetterMask = 0x7f;  // less FLAG_REF

// Whether the source has changed behind Python's back.
Freshness judge_change(const PycQuestion& question, const FileStamp& pyc) {
  const auto changed_ns = question.source.changed_ns;
  const MadeFile* const made = question.made;
  // Of two with one time, for it comes from a clock that ticks, either may have been first.
  if (made == nullptr) return changed_ns < pyc.changed_ns ? Freshness::fresh : Freshness::doubtful;
  // A copy (cp -a) is younger than the source beside it, whatever it was made from: when it was written
  // counts.
  if (!made->is(pyc)) {
    const auto written_ns = std::min(pyc.changed_ns, pyc.modified_ns);
    return changed_ns < written_ns ? Freshness::fresh : Freshness::doubtful;
  }
  if (made->source_changed_ns == changed_ns) return Freshness::fresh;
  if (made->source_content == 0 || !question.source_content) return Freshness::doubtful;
  return question.source_content() == made->source_content ? Freshness::fresh : Freshness::changed;
}

Freshness judge_times(const PycHeader& header, const PycQuestion& question, const FileStamp& pyc) {
  const auto& source = question.source;
  const auto expected = timestamp_header(header.magic, source.python_mtime_s(), source.size);
  if (header.mtime_s != expected.mtime_s) return Freshness::mtime;
  if (header.source_size != expected.source_size) return Freshness::size;
  return judge_change(question, pyc);
}

Freshness judge_header(const PycHeader& header, const PycQuestion& question, const FileStamp& pyc) {
  if (header.magic != question.magic) return Freshness::magic;
  if (header.kind != question.kind.value_or(header.kind)) return Freshness::kind;
  if (header.kind == PycKind::timestamp) return judge_times(header, question, pyc);
  const auto hash = question.source_hash ? question.source_hash() : std::nullopt;
  return hash == header.source_hash ? Freshness::fresh : Freshness::hash;
}

// The first SIZE bytes; nothing: there are less, or they cannot be read.
std::optional<std::string> read_file(int fd, std::uint64_t size) {
  std::string bytes(size, '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::pread(fd, bytes.data() + filled, bytes.size() - filled, static_cast<off_t>(filled));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    filled += static_cast<std::size_t>(got);
  }
  return bytes;
}

Freshness judge_body(int fd, std::uint64_t file_size, const PycQuestion& question) {
  const std::size_t header_size = pyc_header_size(question.magic);
  if (file_size <= header_size || file_size > kMaxPycBytes) return Freshness::body;
  const auto file = read_file(fd, file_size);
  if (!file) return Freshness::unreadable;
  std::optional<std::string_view> bytes = *file;
  if (question.sealed) bytes = unseal_overlay_file(*file, question.magic);
  if (!bytes || bytes->size() <= header_size) return Freshness::body;
  const auto body = bytes->substr(header_size);
  const bool whole = (body[0] & kLetterMask) == kTypeCode && is_whole_code(body, question.magic);
  return whole ? Freshness::fresh : Freshness::body;
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
    case Freshness::hash:
      return "hash";
    case Freshness::changed:
      return "changed";
    case Freshness::doubtful:
      return "doubtful";
  }
  return "unknown";
}

PycCheck check_pyc(const std::string& pyc, const PycQuestion& question) {
  // O_NONBLOCK: a FIFO of that name must not hold us up.
  const UniqueFd fd{::open(pyc.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!fd) {
    const bool missing = errno == ENOENT || errno == ENOTDIR;
    return {missing ? Freshness::missing : Freshness::unreadable, {}, {}};
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {Freshness::unreadable, {}, {}};
  char start[kMaxPycHeaderSize];
  const ssize_t size = ::read(fd.get(), start, sizeof start);
  if (size < 0) return {Freshness::unreadable, {}, {}};
  PycCheck check{Freshness::bad_header, stamp_of(status), {}};
  const auto header = parse_pyc_header({start, static_cast<std::size_t>(size)});
  if (!header) return check;
  check.kind = header->kind;
  check.freshness = judge_header(*header, question, check.stamp);
  if (check.freshness == Freshness::fresh) {
    check.freshness = judge_body(fd.get(), check.stamp.size, question);
  }
  const bool tampered =
      question.made != nullptr && question.made->was_tampered_with(check.stamp, question.source);
  if (check.freshness == Freshness::fresh && tampered) check.freshness = Freshness::doubtful;
  return check;
}

}  // namespace kiln
